"""Every level alike (DDPM, arXiv 2006.11239, algorithm 1)."""

from __future__ import annotations

import torch

from ...core.protocols import SamplingLaw
from ..density import Density


def quantile(
    even: torch.Tensor, mean: float, spread: float, law: SamplingLaw
) -> torch.Tensor:
    """``time = u``."""
    return even.double()


DENSITY = Density(
    name="uniform", title="uniform", quantile=quantile, source="DDPM, arXiv 2006.11239"
)
