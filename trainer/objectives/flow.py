"""Velocity of a rectified flow (Liu et al., arXiv 2209.03003; Lipman et al., arXiv 2210.02747).

    x = (1 - sigma) * x0 + sigma * eps,    x0' = x - sigma * u',    target u = eps - x0

Z-Image's own network is fed 1 - sigma and answers x0 - eps. ComfyUI's turns both around inside, so
through it the velocity points from picture to noise, and nothing is turned here.
"""

from __future__ import annotations

import torch

from ..objective import Objective
from ..preconditioning import minus_sigma, ones
from ..told import Told


def target(
    latent: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor, sigma_data: float
) -> torch.Tensor:
    """``eps - x0``."""
    return noise - latent


def snr(sigma: torch.Tensor, sigma_data: float) -> torch.Tensor:
    """``(1 - sigma)² / sigma²``."""
    return ((1 - sigma) / sigma).square()


def eps_share(sigma: torch.Tensor, sigma_data: float) -> torch.Tensor:
    """``(1 - sigma)²``."""
    return (1 - sigma).square()


OBJECTIVE = Objective(
    name="flow",
    title="flow matching",
    c_skip=ones,
    c_out=minus_sigma,
    target=target,
    snr=snr,
    eps_share=eps_share,
    told=Told(
        formula="x = (1 − σ)·x0 + σ·ε; u = ε − x0",
        source="arXiv 2209.03003, 2210.02747",
        elsewhere="all that train Z-Image, Flux or Lumina",
        use="Z-Image, Lumina 2, Flux.1: chosen from the model",
    ),
)
