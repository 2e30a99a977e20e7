"""Noise prediction (DDPM, arXiv 2006.11239, equation 14).

With the noisy latent x = x0 + sigma * eps and the estimate x0' = x - sigma * eps', the error of
the noise is eps' - eps = (x0 - x0') / sigma, so the plain noise loss is the squared error of the
denoised latent over sigma squared.
"""

from __future__ import annotations

import torch

from ..objective import Objective


def weight(sigma: torch.Tensor) -> torch.Tensor:
    """``1 / sigma**2``; (B,) -> (B,)."""
    return sigma.square().reciprocal()


OBJECTIVE = Objective(name="eps", weight=weight)
