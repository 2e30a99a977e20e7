"""What sd-scripts and musubi-tuner call ``sigmoid``: a logit-normal around the very middle."""

from __future__ import annotations

import torch

from ...core.protocols import SamplingLaw
from ..density import Density, normal_quantile


def quantile(
    even: torch.Tensor, mean: float, spread: float, law: SamplingLaw
) -> torch.Tensor:
    """``time = sigmoid(spread * normal)``; spread is their ``sigmoid_scale``."""
    return torch.sigmoid(spread * normal_quantile(even))


DENSITY = Density(
    name="sigmoid",
    title="sigmoid of a normal",
    quantile=quantile,
    spread=1.0,
    source="sd-scripts, timestep_sampling sigmoid",
)
