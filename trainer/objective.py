"""What the network is asked for. Each file in ``objectives/`` declares one objective.

A host returns the denoised picture ``x0'``. Every objective is the same straight line between that
and the network's own output (Karras et al., arXiv 2206.00364, equation 7),

    x0' = c_skip(sigma) * x + c_out(sigma) * output,

so the output is recovered from it, and the loss is taken where the network was trained: on the
output against its target. With plain MSE this equals the error of the denoised picture over
``c_out ** 2``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..core.errors import HostError
from ..core.registry import declared_objects
from .law import over
from .told import Told

Coefficient = Callable[[torch.Tensor, float], torch.Tensor]
"""(sigma (B,), sigma_data) -> (B,)."""
Target = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float], torch.Tensor]
"""(latent, noise, sigma in their shape, sigma_data) -> target; all (B, C, H, W)."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A training objective.

    Attributes:
        name: what the network outputs: ``eps``, ``v``, ``flow`` or ``edm``.
        title: in words.
        c_skip: how much of the noisy picture is in the denoised one.
        c_out: how much of the output is.
        target: what the output should be.
        snr: signal-to-noise ratio of a level, the variance of the picture over that of the noise.
        eps_share: what turns the squared error of the output into that of the noise, so that
            weights written for noise prediction hold; finite where the SNR is 0.
        told: for the documentation.
    """

    name: str
    title: str
    c_skip: Coefficient
    c_out: Coefficient
    target: Target
    snr: Coefficient
    eps_share: Coefficient
    told: Told

    def output(
        self,
        noisy: torch.Tensor,
        denoised: torch.Tensor,
        sigma: torch.Tensor,
        sigma_data: float = 1.0,
    ) -> torch.Tensor:
        """The network's output, recovered; float32.

        Args:
            noisy: (B, C, H, W), what the network saw, before any scaling.
            denoised: (B, C, H, W), the host's answer.
            sigma: (B,), positive.
            sigma_data: of the model.
        """
        skip, out = self.c_skip(sigma, sigma_data), self.c_out(sigma, sigma_data)
        return (denoised.float() - over(skip, noisy) * noisy.float()) / over(out, noisy)

    def error(
        self,
        latent: torch.Tensor,
        noise: torch.Tensor,
        noisy: torch.Tensor,
        denoised: torch.Tensor,
        sigma: torch.Tensor,
        sigma_data: float = 1.0,
    ) -> torch.Tensor:
        """Output minus target, (B, C, H, W), float32; differentiable in ``denoised``."""
        wanted = self.target(latent.float(), noise.float(), over(sigma, latent), sigma_data)
        return self.output(noisy, denoised, sigma, sigma_data) - wanted


def objectives() -> dict[str, Objective]:
    """Every objective by name."""
    from . import objectives as package

    return declared_objects(package, "OBJECTIVE")


def objective_for(prediction: str) -> Objective:
    """The objective that fits what a model predicts.

    Raises:
        HostError: no objective of this name.
    """
    known = objectives()
    if prediction not in known:
        raise HostError(
            f"The connected model predicts '{prediction}'",
            expected=f"a model that predicts one of: {', '.join(sorted(known))}",
            remedy="Connect the model from before the node that changed its sampling",
        )
    return known[prediction]
