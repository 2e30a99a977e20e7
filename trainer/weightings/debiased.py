"""Debiased estimation (Yu et al., arXiv 2310.08442).

Noise prediction: 1 / sqrt(SNR), with the SNR held within 0.001 to 1000, so that neither end takes
over; published schedules lie inside but for the cleanest levels. v-prediction: 1 / (SNR + 1), as
sd-scripts has it since 2024, which makes it the plain error of the denoised picture and is 1 at
pure noise.
"""

from __future__ import annotations

import torch

from ..told import Told
from ..weighting import Weighting

SNR_MIN, SNR_MAX = 1e-3, 1e3


def weight(
    snr: torch.Tensor, eps_share: torch.Tensor, gamma: float, objective: str
) -> torch.Tensor:
    """``1 / sqrt(SNR)`` for eps, ``1 / (SNR + 1)`` for v."""
    if objective == "v":
        return 1 / (snr + 1)
    return snr.clamp(SNR_MIN, SNR_MAX).rsqrt()


WEIGHTING = Weighting(
    name="debiased",
    title="debiased",
    weight=weight,
    objectives=("eps", "v"),
    told=Told(
        formula="ε: 1 / √SNR, SNR within 0.001 to 1000; v: 1 / (SNR + 1)",
        source="arXiv 2310.08442; sd-scripts for v",
        elsewhere="sd-scripts, OneTrainer, diffusion-pipe, naifu",
        use="composition and colour of noise prediction; v-prediction with zero terminal SNR, "
        "where it is 1 at pure noise",
    ),
)
