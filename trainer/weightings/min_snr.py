"""min-SNR-gamma (Hang et al., arXiv 2303.09556, section 3.4).

The denoised picture's error counts min(SNR, gamma): for noise prediction min(SNR, gamma) / SNR, for
v-prediction min(SNR, gamma) / (SNR + 1). Written as min(1, gamma / SNR) times eps_share it is
finite at SNR 0, where the first is 1 and the second 0: with zero terminal SNR the last timestep
then teaches nothing, and the last tenth of a v-prediction model gets 0.03 % of all weight. That is
the formula, not a mistake, and the reason why it is not our default.
"""

from __future__ import annotations

import torch

from ..told import Told
from ..weighting import Weighting


def weight(
    snr: torch.Tensor, eps_share: torch.Tensor, gamma: float, objective: str
) -> torch.Tensor:
    """``min(1, gamma / SNR) * eps_share``."""
    return (gamma / snr).clamp(max=1.0) * eps_share


WEIGHTING = Weighting(
    name="min_snr",
    title="min-SNR",
    weight=weight,
    gamma=5.0,
    objectives=("eps", "v", "edm"),
    told=Told(
        formula="ε: min(SNR, γ) / SNR; v: min(SNR, γ) / (SNR + 1); γ = 5",
        source="arXiv 2303.09556, section 3.4",
        elsewhere="sd-scripts, OneTrainer, ai-toolkit, SimpleTuner, diffusers",
        use="noise prediction, when learning is slow. Not with zero terminal SNR: the last tenth "
        "gets 0.03 % of the weight",
    ),
)
