"""Squared error."""

from __future__ import annotations

import torch

from ..loss import Loss
from ..told import Told


def elementwise(error: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
    """``e²``."""
    return error.square()


LOSS = Loss(
    name="mse",
    title="squared error",
    elementwise=elementwise,
    robust=False,
    told=Told(
        formula="e²",
        source="DDPM, arXiv 2006.11239",
        elsewhere="all",
        use="the default",
    ),
)
