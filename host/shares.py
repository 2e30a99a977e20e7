"""The picture of what is trained, for a connected MODEL or for SDXL."""

from __future__ import annotations

from typing import Any

import torch

from ..core.protocols import SamplingLaw
from ..lora_format.family import families
from ..trainer.law import ContinuousLaw, DiscreteLaw, FlowLaw, ddpm_sigmas
from ..trainer.objective_settings import AUTO, ObjectiveSettings
from ..trainer.recipe import make_recipe
from ..trainer.shares import shares_chart
from .model import family_of
from .model_kind import variant_of
from .sampling_law import EDM_RANGE, law_of, with_chosen_sampling

LATENT = (128, 128)
"""A picture of 1024 x 1024 pixels."""


def shares_picture(settings: ObjectiveSettings, model: Any = None) -> torch.Tensor:
    """(480, 800, 3) in 0..1.

    Raises:
        ConfigError: a setting means nothing for the model.
        HostError: the model is of no family that can be trained.
    """
    if model is None:
        law = _law_of_settings(settings)
        family, title = families()["sdxl"], "SDXL"
        variant = family.training.variants["base"]
    else:
        family = family_of(model)
        law = law_of(with_chosen_sampling(model, settings).get_model_object("model_sampling"))
        variant = variant_of(model, family, settings.model_kind)
        title = variant.title
    recipe = make_recipe(settings, law, variant, family.training.patch)
    zero_note = ", zero terminal SNR" if law.zero_terminal and law.prediction != "flow" else ""
    title = f"{title}: {recipe.objective.title}{zero_note}, {recipe.density.title}, weighting "
    return shares_chart(recipe, LATENT, title + recipe.weighting.title)


def _law_of_settings(settings: ObjectiveSettings) -> SamplingLaw:
    """An SDXL's noise schedule as the settings name it."""
    prediction = "eps" if settings.prediction == AUTO else settings.prediction
    if prediction == "flow":
        return FlowLaw()
    if prediction == "edm":
        return ContinuousLaw(
            prediction="edm",
            sigma_min=EDM_RANGE["sigma_min"],
            sigma_max=EDM_RANGE["sigma_max"],
            sigma_data=EDM_RANGE["sigma_data"],
        )
    sigmas = ddpm_sigmas(zero_terminal=settings.zero_terminal_snr == "on")
    return DiscreteLaw(prediction=prediction, sigmas=sigmas)
