"""EDM (Karras et al., arXiv 2206.00364, table 1), as Playground v2.5 was trained.

    x = x0 + sigma * eps,    x0' = c_skip * x + c_out * F',
    target F = (x0 - c_skip * x) / c_out
             = (sigma * x0 - sd ** 2 * eps) / (sd * sqrt(sigma ** 2 + sd ** 2)),    sd = sigma_data.

Plain squared error of F is the paper's loss with lambda(sigma) = 1 / c_out ** 2.
"""

from __future__ import annotations

import torch

from ..objective import Objective
from ..preconditioning import additive_snr, karras_out, karras_skip
from ..told import Told


def target(
    latent: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor, sigma_data: float
) -> torch.Tensor:
    """``(sigma * x0 - sigma_data² * eps) / (sigma_data * sqrt(sigma² + sigma_data²))``."""
    size = (sigma.square() + sigma_data**2).sqrt()
    return (sigma * latent - sigma_data**2 * noise) / (sigma_data * size)


OBJECTIVE = Objective(
    name="edm",
    title="EDM",
    c_skip=karras_skip,
    c_out=karras_out,
    target=target,
    snr=additive_snr,
    eps_share=karras_skip,
    told=Told(
        formula="F = (σ·x0 − s²·ε) / (s·√(σ² + s²)), s = σ_data = 0.5",
        source="EDM, arXiv 2206.00364, table 1",
        elsewhere="diffusers (advanced SDXL script)",
        use="Playground v2.5: chosen from the model",
    ),
)
