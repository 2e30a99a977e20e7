"""How far a cell may be from what the stock loader and sampler draw."""

from __future__ import annotations

from dataclasses import dataclass

import torch

LIMIT = 1e-4
"""Largest difference to the stock loader, as a share of the latent's range, that auto accepts."""
HALF_PRECISION_LIMITS = {torch.bfloat16: 2e-2, torch.float16: 5e-3}
"""The same, root mean square, where the stock loader merges the LoRA into the weight and rounds.

That costs a bf16 weight more of a weak LoRA's effect than the LoRA beside it loses (see
``benchmarks/low_precision.py``): a difference here is as much stock's as ours.
"""


@dataclass(frozen=True)
class Parity:
    """What a check found.

    Attributes:
        difference: share of the latent's range.
        limit: what is accepted.
        measure: in which measure and dtype.
        rounds: whether stock itself rounds so that a batch is never equal to a single picture.
    """

    difference: float
    limit: float
    measure: str
    rounds: bool

    @property
    def holds(self) -> bool:
        """Whether the cell is good enough."""
        return self.difference <= self.limit


def limit_of(dtype: torch.dtype) -> float:
    """What is accepted of models that compute in this dtype."""
    return HALF_PRECISION_LIMITS.get(dtype, LIMIT)


def compare(latent: torch.Tensor, stock: torch.Tensor, dtype: torch.dtype) -> Parity:
    """A cell's latent against the stock one.

    Args:
        latent, stock: (C, h, w).
        dtype: in which the model computes.
    """
    name, limit = str(dtype).removeprefix("torch."), limit_of(dtype)
    if dtype in HALF_PRECISION_LIMITS:
        return Parity(rms_difference(latent, stock), limit, f"RMS, limit {limit:g} in {name}", True)
    difference = relative_difference(latent, stock)
    return Parity(difference, limit, f"largest, limit {limit:g} in {name}", False)


def relative_difference(latent: torch.Tensor, reference: torch.Tensor) -> float:
    """Largest absolute difference as a share of the reference's range; NaN counts as infinite."""
    span = float(reference.max() - reference.min())
    difference = float((latent - reference).abs().max()) / max(span, 1e-12)
    return difference if difference == difference else float("inf")


def rms_difference(latent: torch.Tensor, reference: torch.Tensor) -> float:
    """Root mean square difference as a share of the reference's range; NaN counts as infinite."""
    span = float(reference.max() - reference.min())
    difference = float((latent - reference).square().mean().sqrt()) / max(span, 1e-12)
    return difference if difference == difference else float("inf")
