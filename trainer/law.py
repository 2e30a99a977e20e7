"""Noise schedules: which noise levels a model knows, and how it mixes noise into a picture.

*Time* runs from 0, a clean picture, to 1, pure noise. A schedule turns it into a sigma; what a
person calls timestep 700 of 1000 is time 0.7. Sigmas are dimensionless. All of this is worked out
in float64 on the CPU: it is a handful of numbers, and a Mac's GPU has no float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

ZERO_TERMINAL_SIGMA = 1000.0
"""Published schedules end at 15 to 160; beyond this the last level is pure noise."""
LEAST_ALPHA_BAR = 4.8973451890853435e-08
"""Where ComfyUI holds the last timestep of such a schedule: sigma 4519 instead of infinity."""
FLOW_SIGMA_MIN = 1e-3
"""The lowest level of the samplers' tables. Velocity is an error divided by sigma."""


def over(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(B,) shaped so that it goes along with ``like`` (B, …)."""
    return values.view(-1, *[1] * (like.ndim - 1))


def add_noise(sigma: torch.Tensor, noise: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
    """``x = x0 + sigma * noise``, the mixture of DDPM in the scale of EDM."""
    return latent + over(sigma, latent) * noise


@dataclass(frozen=True, kw_only=True, eq=False)
class DiscreteLaw:
    """A table of noise levels, as DDPM has it (arXiv 2006.11239).

    Attributes:
        prediction: ``eps`` or ``v``.
        sigmas: (N,) float64, rising.
        sigma_data: standard deviation of the data that the network expects.
    """

    prediction: str
    sigmas: torch.Tensor
    sigma_data: float = 1.0
    shift: float | None = None

    @property
    def zero_terminal(self) -> bool:
        """Whether the last level is pure noise (arXiv 2305.08891)."""
        return float(self.sigmas[-1]) > ZERO_TERMINAL_SIGMA

    def sigma(self, time: torch.Tensor) -> torch.Tensor:
        """Level of the timestep that a time falls into; (B,) -> (B,) float64."""
        count = len(self.sigmas)
        return self.sigmas[(time.double() * count).long().clamp(0, count - 1)]

    def time(self, sigma: torch.Tensor) -> torch.Tensor:
        """Middle of the timestep of a level; (B,) -> (B,) float64."""
        above = torch.searchsorted(self.sigmas, sigma.double()).clamp(1, len(self.sigmas) - 1)
        low, high, level = self.sigmas[above - 1].log(), self.sigmas[above].log(), sigma.log()
        index = torch.where(level - low < high - level, above - 1, above)
        return (index.double() + 0.5) / len(self.sigmas)

    def noisy(
        self, sigma: torch.Tensor, noise: torch.Tensor, latent: torch.Tensor
    ) -> torch.Tensor:
        """``x0 + sigma * noise``."""
        return add_noise(sigma, noise, latent)


@dataclass(frozen=True, kw_only=True)
class ContinuousLaw:
    """Levels without steps between two ends, even in the logarithm (arXiv 2206.00364).

    Attributes:
        prediction: ``edm`` or ``v``.
        sigma_min: at time 0.
        sigma_max: at time 1.
        sigma_data: standard deviation of the data that the network expects.
    """

    prediction: str
    sigma_min: float
    sigma_max: float
    sigma_data: float
    shift: float | None = None
    zero_terminal: bool = False

    def sigma(self, time: torch.Tensor) -> torch.Tensor:
        """(B,) -> (B,) float64."""
        low, high = math.log(self.sigma_min), math.log(self.sigma_max)
        return (low + (high - low) * time.double()).exp()

    def time(self, sigma: torch.Tensor) -> torch.Tensor:
        """The inverse, held within 0..1; (B,) -> (B,) float64."""
        low, high = math.log(self.sigma_min), math.log(self.sigma_max)
        return ((sigma.double().log() - low) / (high - low)).clamp(0, 1)

    def noisy(
        self, sigma: torch.Tensor, noise: torch.Tensor, latent: torch.Tensor
    ) -> torch.Tensor:
        """``x0 + sigma * noise``."""
        return add_noise(sigma, noise, latent)


@dataclass(frozen=True, kw_only=True)
class FlowLaw:
    """The straight line from picture to noise (rectified flow, arXiv 2209.03003).

    Time is sigma itself. ``shift`` is how far the model's own sampler moves its levels towards
    noise; training decides about its own.
    """

    shift: float | None = 1.0
    prediction: str = "flow"
    sigma_data: float = 1.0
    zero_terminal: bool = True

    def sigma(self, time: torch.Tensor) -> torch.Tensor:
        """Time itself, held away from zero; (B,) -> (B,) float64."""
        return time.double().clamp(FLOW_SIGMA_MIN, 1.0)

    def time(self, sigma: torch.Tensor) -> torch.Tensor:
        """Sigma itself, held within 0..1; (B,) -> (B,) float64."""
        return sigma.double().clamp(0, 1)

    def noisy(
        self, sigma: torch.Tensor, noise: torch.Tensor, latent: torch.Tensor
    ) -> torch.Tensor:
        """``(1 - sigma) * x0 + sigma * noise``."""
        size = over(sigma, latent)
        return (1 - size) * latent + size * noise


def ddpm_sigmas(
    *, start: float = 0.00085, end: float = 0.012, count: int = 1000, zero_terminal: bool = False
) -> torch.Tensor:
    """The scaled-linear schedule of Stable Diffusion and SDXL; (count,) float64.

    Args:
        start: beta of the first timestep.
        end: beta of the last one.
        count: number of timesteps.
        zero_terminal: moved and stretched so that the last level is pure noise.
    """
    betas = torch.linspace(start**0.5, end**0.5, count, dtype=torch.float64).square()
    signal = (1 - betas).cumprod(0).sqrt()
    if zero_terminal:
        signal = rescale_zero_terminal(signal)
    return (1 - signal.square()).sqrt() / signal


def rescale_zero_terminal(signal: torch.Tensor) -> torch.Tensor:
    """Algorithm 1 of arXiv 2305.08891 on ``sqrt(alpha_bar)``, (N,): the last becomes zero.

    The first keeps its value. A sigma of infinity cannot be computed with, so the last is held at
    ``LEAST_ALPHA_BAR``.
    """
    first, last = signal[0], signal[-1]
    moved = (signal - last) * (first / (first - last))
    return moved.clamp(min=LEAST_ALPHA_BAR**0.5)

