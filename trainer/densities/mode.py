"""More of the middle, yet none left out (Stable Diffusion 3, arXiv 2403.03206, section 3.1)."""

from __future__ import annotations

import math

import torch

from ...core.protocols import SamplingLaw
from ..density import Density
from ..told import Told

WIDEST = 2 / (math.pi - 2)


def quantile(
    even: torch.Tensor, mean: float, spread: float, law: SamplingLaw
) -> torch.Tensor:
    """``time = 1 - f(u)``, ``f(u) = 1 - u - s * (cos²(pi u / 2) - 1 + u)``; s is the spread.

    It rises, and so is a quantile function, for s from -1 to 2 / (pi - 2) = 1.7519.
    """
    u = even.double()
    return u + spread * ((math.pi / 2 * u).cos().square() - 1 + u)


DENSITY = Density(
    name="mode",
    title="mode with heavy tails",
    quantile=quantile,
    spread=1.29,
    widest=WIDEST,
    told=Told(
        formula="t = u + s·(cos²(π·u/2) − 1 + u)",
        source="Stable Diffusion 3, arXiv 2403.03206, section 3.1",
        elsewhere="diffusers",
        use="flow models, where the ends shall not be left out",
    ),
)
