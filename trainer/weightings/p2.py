"""Perception prioritised weighting (Choi et al., arXiv 2204.00227, equation 8), with k = 1.

Takes weight from the cleanest levels, where only detail that nobody sees is learned.
"""

from __future__ import annotations

import torch

from ..told import Told
from ..weighting import Weighting

K = 1.0


def weight(
    snr: torch.Tensor, eps_share: torch.Tensor, gamma: float, objective: str
) -> torch.Tensor:
    """``1 / (k + SNR) ** gamma * eps_share``."""
    return (K + snr).pow(-gamma) * eps_share


WEIGHTING = Weighting(
    name="p2",
    title="P2",
    weight=weight,
    gamma=1.0,
    objectives=("eps", "v", "edm"),
    told=Told(
        formula="ε: 1 / (1 + SNR)^γ; v: times SNR / (SNR + 1); γ = 1",
        source="arXiv 2204.00227, eq. 8",
        elsewhere="OneTrainer",
        use="less weight on detail that nobody sees",
    ),
)
