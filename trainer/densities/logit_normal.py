"""A bell around the middle (Stable Diffusion 3, arXiv 2403.03206, section 3.1)."""

from __future__ import annotations

import torch

from ...core.protocols import SamplingLaw
from ..density import Density, normal_quantile
from ..told import Told


def quantile(
    even: torch.Tensor, mean: float, spread: float, law: SamplingLaw
) -> torch.Tensor:
    """``time = sigmoid(mean + spread * normal)``; a mean above 0 leans towards noise."""
    return torch.sigmoid(mean + spread * normal_quantile(even))


DENSITY = Density(
    name="logit_normal",
    title="logit-normal",
    quantile=quantile,
    mean=0.0,
    spread=1.0,
    told=Told(
        formula="t = sigmoid(mean + spread·n)",
        source="Stable Diffusion 3, arXiv 2403.03206, section 3.1",
        elsewhere="diffusers, OneTrainer, diffusion-pipe, SimpleTuner",
        use="flow models (default). A mean above 0 for composition, below 0 for detail",
    ),
)
