"""Every random draw is a function of (run seed, step, microbatch, purpose), never of global state.

So a run that is resumed, re-batched after running out of memory, or repeated on the same device
is the same run. Draws are made on the CPU and moved: the same numbers on every device.
"""

from __future__ import annotations

import hashlib

import torch


def derive_seed(*parts: int | str) -> int:
    """Mix named parts into one seed.

    Args:
        parts: for example ``(run_seed, step, microbatch, "noise")``; order and type matter.

    Returns:
        A number from 0 to 2**63 - 1.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big") >> 1


def generator(*parts: int | str) -> torch.Generator:
    """Return a CPU generator seeded from the parts; see :func:`derive_seed`."""
    return torch.Generator(device="cpu").manual_seed(derive_seed(*parts))


def permutation(count: int, *parts: int | str) -> list[int]:
    """Return the numbers 0 … count-1 in the order that belongs to the parts."""
    order: list[int] = torch.randperm(count, generator=generator(*parts)).tolist()
    return order
