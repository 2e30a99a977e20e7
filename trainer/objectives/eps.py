"""Noise prediction (DDPM, arXiv 2006.11239, equation 14).

    x = x0 + sigma * eps,    x0' = x - sigma * eps',    target = eps

SNR = 1 / sigma ** 2.
"""

from __future__ import annotations

import torch

from ..objective import Objective
from ..preconditioning import additive_snr, minus_sigma, ones
from ..told import Told


def target(
    latent: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor, sigma_data: float
) -> torch.Tensor:
    """The noise."""
    return noise


OBJECTIVE = Objective(
    name="eps",
    title="noise prediction",
    c_skip=ones,
    c_out=minus_sigma,
    target=target,
    snr=additive_snr,
    eps_share=ones,
    told=Told(
        formula="x = x0 + σ·ε; the network gives ε",
        source="DDPM, arXiv 2006.11239, eq. 14",
        elsewhere="all",
        use="SDXL base, Pony, Illustrious, SD 1.5: chosen from the model",
    ),
)
