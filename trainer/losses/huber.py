"""Pseudo-Huber (arXiv 2403.16728): square near zero, straight beyond the width c."""

from __future__ import annotations

import torch

from ..loss import Loss
from ..told import Told


def elementwise(error: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
    """``2c * (sqrt(e² + c²) - c)``: about e² for small errors, about 2c|e| for large ones."""
    # The same without the difference of two nearly equal numbers.
    root = (error.square() + width.square()).sqrt()
    return 2 * width * error.square() / (root + width)


LOSS = Loss(
    name="huber",
    title="pseudo-Huber",
    elementwise=elementwise,
    robust=True,
    told=Told(
        formula="2c·(√(e² + c²) − c)",
        source="arXiv 2403.16728",
        elsewhere="sd-scripts, SimpleTuner, OneTrainer, diffusion-pipe, ai-toolkit",
        use="a set with pictures that do not fit in",
    ),
)
