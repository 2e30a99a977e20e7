"""Smooth L1: pseudo-Huber whose straight part keeps its slope whatever the width."""

from __future__ import annotations

import torch

from ..loss import Loss
from ..told import Told


def elementwise(error: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
    """``2 * (sqrt(e² + c²) - c)``: about e² / c for small errors, about 2|e| for large ones."""
    root = (error.square() + width.square()).sqrt()
    return 2 * error.square() / (root + width)


LOSS = Loss(
    name="smooth_l1",
    title="smooth L1",
    elementwise=elementwise,
    robust=True,
    told=Told(
        formula="2·(√(e² + c²) − c)",
        source="sd-scripts; arXiv 2403.16728 for the schedule",
        elsewhere="sd-scripts",
        use="as huber, with gradients that do not shrink with c",
    ),
)
