"""Squared error."""

from __future__ import annotations

import torch

from ..loss import Loss


def elementwise(error: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
    """``e²``."""
    return error.square()


LOSS = Loss(
    name="mse",
    title="squared error",
    elementwise=elementwise,
    robust=False,
    source="DDPM, arXiv 2006.11239",
)
