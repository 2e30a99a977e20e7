"""What sd-scripts and musubi-tuner call ``sigmoid``: a logit-normal around the very middle."""

from __future__ import annotations

import torch

from ...core.protocols import SamplingLaw
from ..density import Density, normal_quantile
from ..told import Told


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
    told=Told(
        formula="t = sigmoid(spread·n)",
        source="sd-scripts, timestep_sampling sigmoid",
        elsewhere="sd-scripts, musubi-tuner, ai-toolkit, SimpleTuner",
        use="to repeat a run of sd-scripts; the same as logit_normal with mean 0",
    ),
)
