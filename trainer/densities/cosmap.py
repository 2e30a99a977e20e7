"""The log-SNR of the cosine schedule on a straight line (SD 3, arXiv 2403.03206, section 3.1)."""

from __future__ import annotations

import math

import torch

from ...core.protocols import SamplingLaw
from ..density import Density
from ..told import Told


def quantile(
    even: torch.Tensor, mean: float, spread: float, law: SamplingLaw
) -> torch.Tensor:
    """``time = 1 - 1 / (tan(pi u / 2) + 1)``."""
    # Written without the tangent, which is infinite at the end.
    angle = math.pi / 2 * even.double().clamp(0, 1)
    return angle.sin() / (angle.sin() + angle.cos())


DENSITY = Density(
    name="cosmap",
    title="CosMap",
    quantile=quantile,
    told=Told(
        formula="t = 1 − 1 / (tan(π·u/2) + 1)",
        source="Stable Diffusion 3, arXiv 2403.03206, section 3.1",
        elsewhere="diffusers (as a weighting)",
        use="flow models: a mild preference for the middle",
    ),
)
