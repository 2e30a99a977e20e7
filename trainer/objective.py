"""What is minimised. Each file in ``objectives/`` declares one objective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..core.errors import HostError
from ..core.registry import declared_objects


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A training objective, in terms of the denoised latent that hosts return.

    Attributes:
        name: what the model predicts: ``eps``, ``v``, ``flow`` or ``edm``.
        weight: sigma (B,) -> weight (B,) of the squared error of the denoised latent, which
            makes it equal to the mean squared error of the model's native output.
    """

    name: str
    weight: Callable[[torch.Tensor], torch.Tensor]

    def loss(
        self, latent: torch.Tensor, denoised: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """Per-sample loss, (B,), float32.

        Args:
            latent: (B, C, H, W), the clean picture.
            denoised: (B, C, H, W), the model's estimate of it.
            sigma: (B,), dimensionless and positive.
        """
        error = (denoised.float() - latent.float()).square().flatten(1).mean(1)
        return error * self.weight(sigma.float())


def objective_for(prediction: str) -> Objective:
    """The objective that fits what a model predicts.

    Raises:
        HostError: no objective of this name.
    """
    from . import objectives

    known = declared_objects(objectives, "OBJECTIVE")
    if prediction not in known:
        raise HostError(
            f"The connected model predicts '{prediction}'",
            expected=f"a model that predicts one of: {', '.join(sorted(known))}",
            remedy="Connect an eps model (SDXL base, Pony, Illustrious); other predictions are "
            "on their way",
        )
    objective: Objective = known[prediction]
    return objective
