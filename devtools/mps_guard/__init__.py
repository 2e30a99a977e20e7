"""Fails on the CPU for what would fail, or silently do something else, on Apple's MPS device.

    with MpsGuard() as guard:
        values = torch.randn(4, 4).to("mps")  # a pretend device: computed on the CPU
        values.double()                       # raises MpsRefusal, as a Mac raises TypeError

**How it tells device tensors from host tensors.** By a pretend device. Everything that is made on
or moved to ``mps`` is a :class:`~.pretend.PretendTensor`, which says ``mps:0`` when asked for its
device, holds its numbers on the CPU, and hands on what it is to every result. A tensor on the CPU
stays an ordinary tensor. So code under test takes the very branches that it takes on a Mac
(``tensor.device.type == "mps"``), draws from a CPU generator that are moved afterwards are
right, and the same draws on the device are wrong, without a list of permitted places. The other
ways were weighed and left: a plain dispatch mode cannot tell a seed's draw on the CPU from a
device's; ``meta`` and fake tensors carry no numbers, which samplers and loss scaling branch on; a
renamed ``privateuseone`` device is not called ``mps``.

**How it knows what MPS lacks.** From the installed torch: the wheel ships the table from which
torch's own dispatcher is generated (see :mod:`.kernels`).

**What it cannot see.** Numbers: MPS kernels may round otherwise or be wrong. Kernels that exist
and refuse some dtype, shape or macOS version. What a C++ kernel of kind CompositeExplicitAutograd
calls inside. Branches that torch's C++ takes for MPS alone: attention without gradients uses a
kernel of its own there, here the general arithmetic. Autocast (refused). Speed and memory.
"""

from .guard import MpsGuard
from .refusal import MpsRefusal

__all__ = ["MpsGuard", "MpsRefusal"]
