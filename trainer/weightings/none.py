"""Every level counts alike in the network's own output: what the base models were trained with."""

from __future__ import annotations

import torch

from ..told import Told
from ..weighting import Weighting


def weight(
    snr: torch.Tensor, eps_share: torch.Tensor, gamma: float, objective: str
) -> torch.Tensor:
    """1."""
    return torch.ones_like(snr)


WEIGHTING = Weighting(
    name="none",
    title="none",
    weight=weight,
    objectives=("eps", "v", "flow", "edm"),
    told=Told(
        formula="1",
        source="DDPM, arXiv 2006.11239, L_simple",
        elsewhere="all",
        use="the default: what the models were trained with",
    ),
)
