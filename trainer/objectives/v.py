"""v-prediction (Salimans and Ho, arXiv 2202.00512, appendix D).

With signal a = 1 / sqrt(1 + sigma ** 2) and noise b = sigma * a, the paper's z = a * x0 + b * eps
is a * x for our x = x0 + sigma * eps, and

    v = a * eps - b * x0 = (eps - sigma * x0) / sqrt(1 + sigma ** 2),
    x0' = a * z - b * v' = x / (1 + sigma ** 2) - sigma * v' / sqrt(1 + sigma ** 2).

At pure noise v becomes -x0, so the last timestep of a zero-terminal-SNR schedule teaches too. For
sigma_data other than 1 the same with EDM's preconditioning. The squared error of v is that of the
noise times ``1 + 1 / SNR``.
"""

from __future__ import annotations

import torch

from ..objective import Objective
from ..preconditioning import additive_snr, karras_skip, minus_karras_out
from ..told import Told


def target(
    latent: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor, sigma_data: float
) -> torch.Tensor:
    """``(sigma_data² * eps - sigma * x0) / (sigma_data * sqrt(sigma² + sigma_data²))``."""
    size = (sigma.square() + sigma_data**2).sqrt()
    return (sigma_data**2 * noise - sigma * latent) / (sigma_data * size)


OBJECTIVE = Objective(
    name="v",
    title="v-prediction",
    c_skip=karras_skip,
    c_out=minus_karras_out,
    target=target,
    snr=additive_snr,
    eps_share=karras_skip,
    told=Told(
        formula="v = (ε − σ·x0) / √(1 + σ²)",
        source="arXiv 2202.00512, appendix D",
        elsewhere="sd-scripts, OneTrainer, naifu, diffusers",
        use="v-prediction models (NoobAI v-pred), with or without zero terminal SNR: chosen from "
        "the model",
    ),
)
