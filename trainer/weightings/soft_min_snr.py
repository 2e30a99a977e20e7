"""min-SNR without the corner (Crowson et al., arXiv 2401.11605).

The denoised picture's error counts SNR * gamma / (SNR + gamma). The paper's gamma of 4 is
1 / sigma_data ** 2 over an SNR of 1 / sigma ** 2; over the SNR of pictures of that deviation, which
ours is, the same is gamma 1, and so k-diffusion's weighting is this one with gamma 1.
"""

from __future__ import annotations

import torch

from ..told import Told
from ..weighting import Weighting


def weight(
    snr: torch.Tensor, eps_share: torch.Tensor, gamma: float, objective: str
) -> torch.Tensor:
    """``gamma / (SNR + gamma) * eps_share``."""
    return gamma / (snr + gamma) * eps_share


WEIGHTING = Weighting(
    name="soft_min_snr",
    title="soft min-SNR",
    weight=weight,
    gamma=4.0,
    objectives=("eps", "v", "edm"),
    told=Told(
        formula="ε: γ / (SNR + γ); v: times SNR / (SNR + 1); γ = 4",
        source="arXiv 2401.11605",
        elsewhere="k-diffusion, SimpleTuner",
        use="as min_snr, without its corner",
    ),
)
