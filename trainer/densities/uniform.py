"""Every level alike (DDPM, arXiv 2006.11239, algorithm 1)."""

from __future__ import annotations

import torch

from ...core.protocols import SamplingLaw
from ..density import Density
from ..told import Told


def quantile(
    even: torch.Tensor, mean: float, spread: float, law: SamplingLaw
) -> torch.Tensor:
    """``time = u``."""
    return even.double()


DENSITY = Density(
    name="uniform", title="uniform", quantile=quantile,
    told=Told(
        formula="t = u",
        source="DDPM, arXiv 2006.11239",
        elsewhere="all",
        use="SDXL and SD 1.5 (default): what they were trained with. Z-Image Turbo (default, with "
        "a shift of 3)",
    ),
)
