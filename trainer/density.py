"""How often each noise level is trained. Each file in ``densities/`` declares one density.

A density is given as its quantile function: evenly spread numbers go in, times come out. So draws
can be spread evenly (``timesteps``), a range cut out of any density keeps its shape, and the plot
of what is trained needs no sampling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..core.protocols import SamplingLaw
from ..core.registry import declared_objects
from .told import Told

BISECTIONS = 60
"""Enough to find a quantile to the last bit of a float64."""

Quantile = Callable[[torch.Tensor, float, float, SamplingLaw], torch.Tensor]
"""(even numbers in 0..1 (B,), mean, spread, law) -> times in 0..1 (B,), rising; float64."""


@dataclass(frozen=True, kw_only=True)
class Density:
    """A density over time.

    Attributes:
        name: what it is called in settings.
        title: in words, for tables and plots.
        quantile: its quantile function.
        mean: default of the mean; None where it has none.
        spread: default of the spread; None where it has none.
        widest: the largest spread for which the quantile function rises; None for any.
        told: for the documentation.
    """

    name: str
    title: str
    quantile: Quantile
    mean: float | None = None
    spread: float | None = None
    widest: float | None = None
    told: Told


def densities() -> dict[str, Density]:
    """Every density by name."""
    from . import densities as package

    return declared_objects(package, "DENSITY")


def normal_quantile(spread_evenly: torch.Tensor) -> torch.Tensor:
    """Standard normal quantiles; 0 and 1 are held just inside, so the result is finite."""
    return torch.special.ndtri(spread_evenly.double().clamp(1e-12, 1 - 1e-12))


def quantile_of(times: Callable[[torch.Tensor], torch.Tensor], time: float) -> float:
    """How much of a density lies below a time, by bisection of its quantile function."""
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if float(times(torch.tensor([middle], dtype=torch.float64))) < time:
            low = middle
        else:
            high = middle
    return (low + high) / 2
