"""Coefficients that several objectives share; ``sd`` is sigma_data.

Args of all: sigma (B,) and sigma_data; they return (B,).
"""

from __future__ import annotations

import torch


def ones(sigma: torch.Tensor, sigma_data: float) -> torch.Tensor:
    """``1``."""
    return torch.ones_like(sigma)


def minus_sigma(sigma: torch.Tensor, sigma_data: float) -> torch.Tensor:
    """``-sigma``."""
    return -sigma


def karras_skip(sigma: torch.Tensor, sigma_data: float) -> torch.Tensor:
    """``sd² / (sigma² + sd²)`` (arXiv 2206.00364, table 1)."""
    return sigma_data**2 / (sigma.square() + sigma_data**2)


def karras_out(sigma: torch.Tensor, sigma_data: float) -> torch.Tensor:
    """``sigma * sd / sqrt(sigma² + sd²)`` (arXiv 2206.00364, table 1)."""
    return sigma * sigma_data / (sigma.square() + sigma_data**2).sqrt()


def minus_karras_out(sigma: torch.Tensor, sigma_data: float) -> torch.Tensor:
    """``-sigma * sd / sqrt(sigma² + sd²)``: v points the other way."""
    return -karras_out(sigma, sigma_data)


def additive_snr(sigma: torch.Tensor, sigma_data: float) -> torch.Tensor:
    """``sd² / sigma²``, of ``x = x0 + sigma * eps``."""
    return (sigma_data / sigma).square()
