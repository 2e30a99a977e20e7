"""How an error becomes a loss. Each file in ``losses/`` declares one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..core.registry import declared_objects
from .law import over
from .told import Told

SCHEDULES = ("snr", "exponential", "constant")
Elementwise = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(error (B, C, H, W), width (B, 1, 1, 1)) -> loss of every element."""


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A loss of single elements.

    Attributes:
        name: what it is called in settings.
        title: in words, for tables.
        elementwise: see ``Elementwise``.
        robust: whether it has a width beyond which it grows slower than the square.
        told: for the documentation.
    """

    name: str
    title: str
    elementwise: Elementwise
    robust: bool
    told: Told


def losses() -> dict[str, Loss]:
    """Every loss by name."""
    from . import losses as package

    return declared_objects(package, "LOSS")


def width(schedule: str, smallest: float, ratio: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    """Width of a robust loss at a noise level; (B,), from 1 at the clean end down.

    Scheduled pseudo-Huber (arXiv 2403.16728): outliers spoil most where there is noise, and detail
    would suffer where there is none.

    Args:
        schedule: ``snr``: ``(1 - c) / (1 + ratio)² + c``; ``exponential``: ``c ** time``;
            ``constant``: ``c``.
        smallest: c.
        ratio: (B,), standard deviation of the noise over that of the picture; may be infinite.
        time: (B,), 0 clean to 1 noise.
    """
    if schedule == "snr":
        return (1 - smallest) / (1 + ratio).square() + smallest
    if schedule == "exponential":
        return (math.log(smallest) * time).exp()
    return torch.full_like(ratio, smallest)


def mean_loss(elements: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Mean over each picture, (B,); with a mask the mean over what it covers.

    Divided by the mask's own area: a small subject counts as much as a large one.

    Args:
        elements: (B, C, H, W).
        mask: (B, 1, H, W) in 0..1, nowhere all zero.
    """
    if mask is None:
        return elements.flatten(1).mean(1)
    return (elements * mask).flatten(1).mean(1) / mask.flatten(1).mean(1)


def loss_of(
    loss: Loss, error: torch.Tensor, widths: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """Loss of each picture, (B,)."""
    return mean_loss(loss.elementwise(error, over(widths, error)), mask)
