"""The objective of a run with nothing left open: settings, family and model put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..core.errors import ConfigError
from ..core.protocols import SamplingLaw
from ..lora_format.training import Levels, Variant
from .density import Density, densities, quantile_of
from .loss import Loss, loss_of, losses, width
from .noise import NoiseOptions
from .objective import Objective, objective_for
from .objective_settings import AUTO, LAST_TIMESTEP, ObjectiveSettings
from .shift import shift_for, shifted
from .weighting import Weighting, weighting_for

DEFAULT_LEVELS = {
    "eps": Levels(density="uniform", reason="the model was trained on every timestep alike"),
    "v": Levels(density="uniform", reason="the model was trained on every timestep alike"),
    "edm": Levels(density="lognormal", reason="the levels of EDM (arXiv 2206.00364, table 1)"),
    "flow": Levels(
        density="logit_normal", shift="model",
        reason="levels around the middle teach most (arXiv 2403.03206), moved as the model's own "
        "sampler moves them",
    ),
}
FEWEST_LEVELS = 1e-6
"""A range that holds less of a density than this holds nothing."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything about the loss of a sample.

    Attributes:
        law: the model's noise schedule.
        objective: what the network is asked for.
        density: how often each level is trained.
        mean: of the density.
        spread: of the density.
        shift: kind of shift.
        shift_value: of a static shift.
        patch: side of a token in latent cells, for a shift by resolution.
        time_range: times that are trained.
        stratified: whether draws are spread evenly.
        weighting: how much each level counts.
        gamma: its parameter.
        loss: how an error counts.
        huber_width: smallest width of a robust loss.
        huber_schedule: how the width moves.
        noise: options of the noise.
        outside_mask: how much counts what a mask leaves out.
        reason: why these levels, in one sentence.
    """

    law: SamplingLaw
    objective: Objective
    density: Density
    mean: float
    spread: float
    shift: str
    shift_value: float
    patch: int
    time_range: tuple[float, float]
    stratified: bool
    weighting: Weighting
    gamma: float
    loss: Loss
    huber_width: float
    huber_schedule: str
    noise: NoiseOptions
    outside_mask: float
    reason: str
    _ranges: dict[float, tuple[float, float]] = field(default_factory=dict, repr=False)

    def times(self, even: torch.Tensor, latent_shape: Sequence[int]) -> torch.Tensor:
        """Evenly spread numbers as times of one picture size; (B,) -> (B,) float64."""
        shift = shift_for(self.shift, self.shift_value, self.law, latent_shape, self.patch)

        def whole(numbers: torch.Tensor) -> torch.Tensor:
            return shifted(self.density.quantile(numbers, self.mean, self.spread, self.law), shift)

        low, high = self._range(whole, shift)
        return whole(low + (high - low) * even.double())

    def weights(self, sigma: torch.Tensor) -> torch.Tensor:
        """How much samples of these levels count; (B,) -> (B,)."""
        data = self.law.sigma_data
        snr, share = self.objective.snr(sigma, data), self.objective.eps_share(sigma, data)
        return self.weighting.weight(snr, share, self.gamma, self.objective.name)

    def losses(
        self, error: torch.Tensor, sigma: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Weighted loss of each picture, (B,).

        Args:
            error: (B, C, H, W), of the network's output.
            sigma: (B,) float64 on the CPU.
            mask: (B, 1, H, W) in 0..1, or None.
        """
        # Noise per unit of picture, which only in additive schedules is sigma itself.
        ratio = self.objective.snr(sigma, self.law.sigma_data).rsqrt()
        widths = width(self.huber_schedule, self.huber_width, ratio, self.law.time(sigma))
        if mask is not None:
            mask = mask + (1 - mask) * self.outside_mask
        plain = loss_of(self.loss, error, widths.float().to(error.device), mask)
        return plain * self.weights(sigma).float().to(plain.device)

    def describe(self) -> dict[str, Any]:
        """What was settled, for ``run.json``; part of what makes a run the same run."""
        return {
            "objective": self.objective.name,
            "zero_terminal_snr": self.law.zero_terminal,
            "density": self.density.name,
            "density_mean": self.mean,
            "density_spread": self.spread,
            "shift": self.shift,
            "shift_value": self.shift_value if self.shift == "static" else self.law.shift,
            "weighting": self.weighting.name,
            "gamma": self.gamma,
            "loss": self.loss.name,
        }

    def _range(self, whole: Any, shift: float) -> tuple[float, float]:
        """The part of the density that lies in the trained times."""
        if self.time_range == (0.0, 1.0):
            return 0.0, 1.0
        if shift not in self._ranges:
            low, high = (quantile_of(whole, time) for time in self.time_range)
            if high - low < FEWEST_LEVELS:
                raise ConfigError(
                    f"The density {self.density.name} has nothing between timestep "
                    f"{self.time_range[0] * LAST_TIMESTEP:g} and "
                    f"{self.time_range[1] * LAST_TIMESTEP:g}",
                    expected="a range that it reaches",
                    remedy="Widen timestep_from and timestep_to, or choose density uniform",
                )
            self._ranges[shift] = low, high
        return self._ranges[shift]


def make_recipe(
    settings: ObjectiveSettings, law: SamplingLaw, variant: Variant, patch: int
) -> Recipe:
    """Settle everything that was left to us.

    Args:
        settings: what the person set.
        law: the noise schedule, after ``prediction`` and ``zero_terminal_snr`` were applied.
        variant: the kind of model.
        patch: see ``Recipe``.

    Raises:
        ConfigError: a setting means nothing for this model.
        HostError: it predicts something we do not know.
    """
    objective = objective_for(law.prediction)
    usual = DEFAULT_LEVELS[law.prediction]
    if law.prediction == "flow" and variant.levels is not None:
        usual = variant.levels
    own = settings.density == AUTO
    density = densities()[usual.density if own else settings.density]
    weighting = weighting_for(settings.weighting, objective.name)
    noise = NoiseOptions(
        offset=settings.noise_offset,
        pyramid_levels=settings.pyramid_levels,
        pyramid_discount=settings.pyramid_discount,
        input_perturbation=settings.input_perturbation,
    )
    noise.check(law)
    shift = usual.shift if settings.shift == AUTO else settings.shift
    recipe = Recipe(
        law=law,
        objective=objective,
        density=density,
        mean=settings.density_mean or (usual.mean if own else 0.0) or density.mean or 0.0,
        spread=settings.density_spread or (usual.spread if own else 0.0) or density.spread or 0.0,
        shift=shift,
        shift_value=usual.shift_value if settings.shift == AUTO else settings.shift_value,
        patch=patch,
        time_range=(settings.timestep_from / LAST_TIMESTEP, settings.timestep_to / LAST_TIMESTEP),
        stratified=settings.stratified,
        weighting=weighting,
        gamma=settings.gamma or weighting.gamma or 0.0,
        loss=losses()[settings.loss],
        huber_width=settings.huber_width,
        huber_schedule=settings.huber_schedule,
        noise=noise,
        outside_mask=settings.outside_mask,
        reason=usual.reason if own else "chosen by hand",
    )
    shift_for(shift, recipe.shift_value, law, (64, 64), patch)
    _check_spread(recipe)
    return recipe


def _check_spread(recipe: Recipe) -> None:
    """Refuse a spread for which a density is none."""
    widest = recipe.density.widest
    if widest is not None and recipe.spread > widest:
        raise ConfigError(
            f"density_spread is {recipe.spread:g}, and the density is {recipe.density.name}",
            expected=f"at most {widest:.4f} for it: beyond, times would leave the schedule",
            remedy=f"Set density_spread to 0, which takes its usual {recipe.density.spread:g}",
        )
