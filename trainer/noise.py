"""Noise that is not quite white, and inputs that are noisier than they claim.

Offset and pyramid noise move the mean and the large shapes of the noise, which a schedule without
zero terminal SNR never destroys and a model therefore never learns to make: its pictures are all
of middling brightness. Where pure noise is reached anyway (zero terminal SNR, flow matching) they
only make training ask for what sampling never does, so they are refused there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from ..core.errors import ConfigError
from ..core.protocols import SamplingLaw
from .draws import draw_noise


@dataclass(frozen=True, kw_only=True)
class NoiseOptions:
    """Attributes: see the settings of the same names; 0 switches each off."""

    offset: float = 0.0
    pyramid_levels: int = 0
    pyramid_discount: float = 0.3
    input_perturbation: float = 0.0

    def check(self, law: SamplingLaw) -> None:
        """Refuse what means nothing for a model.

        Raises:
            ConfigError: with the reason.
        """
        shaped = [("noise_offset", self.offset), ("pyramid_levels", self.pyramid_levels)]
        for name, value in shaped:
            if value and (law.zero_terminal or law.prediction not in ("eps", "v")):
                raise ConfigError(
                    f"{name} is {value:g}, and the model's last noise level is pure noise already"
                    if law.zero_terminal
                    else f"{name} is {value:g}, and the model is trained by {law.prediction}",
                    expected="0, except for noise or v-prediction without zero terminal SNR",
                    remedy=f"Set {name} to 0; this model learns brightness without it",
                )
        if self.input_perturbation and law.prediction not in ("eps", "v"):
            raise ConfigError(
                f"input_perturbation is {self.input_perturbation:g}, and the model is trained by "
                f"{law.prediction}",
                expected="0, except for noise or v-prediction, for which it was found",
                remedy="Set input_perturbation to 0",
            )

    def noise(
        self, seed: int, step: int, slots: Sequence[int], shape: Sequence[int]
    ) -> torch.Tensor:
        """The noise that is mixed in and asked for; (B, C, H, W) on the CPU."""
        noise = draw_noise(seed, step, slots, shape)
        if self.offset:
            channels = (shape[0], 1, 1)
            noise = noise + self.offset * draw_noise(seed, step, slots, channels, "offset")
        if self.pyramid_levels:
            noise = self._pyramid(noise, seed, step, slots)
        return noise

    def input_noise(
        self, noise: torch.Tensor, seed: int, step: int, slots: Sequence[int]
    ) -> torch.Tensor:
        """The noise that the network is shown; it is asked for ``noise``.

        Input perturbation as Ning et al. mean it (arXiv 2301.11706, equation 8): only the input is
        perturbed. OneTrainer's option of this name moves the target along, which comes to a higher
        noise level.
        """
        if not self.input_perturbation:
            return noise
        extra = draw_noise(seed, step, slots, noise.shape[1:], "input perturbation")
        return noise + self.input_perturbation * extra.to(noise)

    def _pyramid(
        self, noise: torch.Tensor, seed: int, step: int, slots: Sequence[int]
    ) -> torch.Tensor:
        """Coarser and coarser noise on top, each level weaker; brought back to unit variance."""
        channels, height, width = noise.shape[1:]
        for level in range(1, self.pyramid_levels + 1):
            size = (max(1, height >> level), max(1, width >> level))
            coarse = draw_noise(seed, step, slots, (channels, *size), f"pyramid {level}")
            fine = functional.interpolate(
                coarse, (height, width), mode="bilinear", align_corners=False
            )
            noise = noise + self.pyramid_discount**level * fine
        return noise / noise.flatten(1).std(1).view(-1, 1, 1, 1)
