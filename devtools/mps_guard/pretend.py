"""A tensor and a generator that say they are on MPS and keep their numbers on the CPU.

To torch's C++ a pretend tensor is on ``meta``: MPS itself has no device guard on other systems,
and autograd ends the process when it asks for one.
"""

from __future__ import annotations

import re
from typing import Any

import torch

MPS = torch.device("mps", 0)
META = torch.device("meta")
_NAME = re.compile(r"mps(:\d+)?")


class PretendTensor(torch.Tensor):
    """Values on the pretend device.

    Attributes:
        inner: the numbers, an ordinary tensor on the CPU.
        guard: whoever made it; sees every operator that takes it.
    """

    inner: torch.Tensor  # type: ignore[assignment]
    guard: Any

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls: Any, inner: torch.Tensor, guard: Any) -> PretendTensor:
        made: PretendTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=META,
        )
        made.inner, made.guard = inner, guard
        return made

    def __init__(self, inner: torch.Tensor, guard: Any) -> None:
        del inner, guard

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Operators outside of the guard's region are still the guard's."""
        guard = next(leaf.guard for leaf in _leaves((args, kwargs)) if isinstance(leaf, cls))
        return guard.call(func, args, kwargs or {})

    def __repr__(self, *, tensor_contents: Any = None) -> Any:  # type: ignore[override]
        """The numbers and the device that it pretends to be on."""
        return f"{self.inner!r} on {MPS}"

    device = property(lambda self: MPS)
    is_meta = property(lambda self: False)
    is_mps = property(lambda self: True)

    def get_device(self) -> int:
        """Index of the device: a Mac has one."""
        return 0

    def tolist(self) -> Any:
        """As plain numbers, which every device allows."""
        return self.cpu().tolist()

    def new_tensor(  # type: ignore[override]
        self, data: Any, **options: Any
    ) -> torch.Tensor:
        """Made on the host and moved, as for every accelerator."""
        device = options.pop("device", META)
        return torch.tensor(data, **{"dtype": self.dtype, **options}).to(device)

    def untyped_storage(self) -> torch.UntypedStorage:
        """The memory itself, so that aliases see the same numbers."""
        return self.inner.untyped_storage()

    def data_ptr(self) -> int:
        """Where the numbers are."""
        return self.inner.data_ptr()

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        """Refused, as a Mac refuses it."""
        raise self.guard.refusal("numpy()", "an array of numpy's cannot lie on the device")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`numpy`."""
        return self.numpy()

    def __deepcopy__(self, memo: Any) -> torch.Tensor:
        """An independent copy with the same flags."""
        made = PretendTensor(self.inner.detach().clone(), self.guard)
        result = made.requires_grad_(self.requires_grad)
        memo[id(self)] = result
        return result

    def mirror(self) -> None:
        """After the numbers got another shape in place: let torch's C++ know it too."""
        inner = self.inner
        if inner.shape == self.shape and inner.stride() == self.stride():
            return
        with torch._C._DisableTorchDispatch():
            count = inner.untyped_storage().nbytes() // inner.element_size()
            memory = torch.empty(count, dtype=inner.dtype, device=META).untyped_storage()
            torch.ops.aten.set_.source_Storage_storage_offset(
                self, memory, inner.storage_offset(), inner.shape, inner.stride()
            )


class _GeneratorKind(type(torch.Generator)):  # type: ignore[misc]
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.__mro__[1])


class PretendGenerator(torch.Generator, metaclass=_GeneratorKind):
    """Stands in for ``torch.Generator`` and knows which device it was made for."""

    pretends: bool

    def __new__(cls, device: Any = "cpu") -> PretendGenerator:
        """A generator for the host or for the pretend device."""
        make: Any = super().__new__
        made: PretendGenerator = make(cls, device="cpu" if is_mps(device) else device)
        made.pretends = is_mps(device)
        return made

    def __init__(self, device: Any = "cpu") -> None:
        del device

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """``mps`` or what it really is."""
        return MPS if self.pretends else super().device


def is_mps(device: Any) -> bool:
    """Whether this names the pretend device; as torch's C++ knows it, too."""
    if isinstance(device, str):
        return _NAME.fullmatch(device) is not None
    return isinstance(device, torch.device) and device.type in ("mps", "meta")


def _leaves(tree: Any) -> list[Any]:
    from torch.utils._pytree import tree_leaves

    return tree_leaves(tree)
