"""The noise schedule of a MODEL, read from its ``model_sampling``, and how it is replaced."""

from __future__ import annotations

import math
from typing import Any

import comfy.model_patcher
import comfy.model_sampling

from ..core.errors import ConfigError, HostError
from ..core.protocols import SamplingLaw
from ..trainer.law import ContinuousLaw, DiscreteLaw, FlowLaw
from ..trainer.objective_settings import AUTO, ObjectiveSettings

PREDICTIONS = {"EPS": "eps", "V_PREDICTION": "v", "EDM": "edm", "CONST": "flow"}
OTHER_PREDICTIONS = ("X0", "IMG_TO_IMG", "IMG_TO_IMG_FLOW", "LCM", "COSMOS_RFLOW")
"""Classes of the host that stand before one of the above in the line of descent, and differ."""
CONTINUOUS = ("ModelSamplingContinuousEDM", "ModelSamplingContinuousV")
CHANGEABLE = ("eps", "v", "edm")
"""What UNets of the same layout were trained to predict; a flow transformer knows only its own."""
EDM_RANGE = {"sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": 0.5}
"""Playground v2.5's, and those of arXiv 2206.00364."""


def law_of(sampling: Any) -> SamplingLaw:
    """The noise schedule of a sampling object.

    Read from this object, not from the model's own type: the stock node ModelSamplingDiscrete
    replaces the one and leaves the other.

    Raises:
        HostError: a flow whose noise is scaled.
    """
    prediction, names = prediction_of(sampling), _names(sampling)
    if prediction == "flow":
        if float(getattr(sampling, "noise_scale", 1.0)) != 1.0:
            raise HostError(
                "The connected model mixes in scaled noise",
                expected="a flow of plain noise",
                remedy="Connect the model from before the node that scales its noise",
            )
        return FlowLaw(shift=_shift(sampling, names))
    if names & set(CONTINUOUS):
        return ContinuousLaw(
            prediction=prediction,
            sigma_min=float(sampling.sigma_min),
            sigma_max=float(sampling.sigma_max),
            sigma_data=float(sampling.sigma_data),
        )
    sigmas = sampling.sigmas.detach().to("cpu", copy=True).double()
    return DiscreteLaw(
        prediction=prediction, sigmas=sigmas, sigma_data=float(getattr(sampling, "sigma_data", 1.0))
    )


def prediction_of(sampling: Any) -> str:
    """What a model predicts: ``eps``, ``v``, ``edm``, ``flow``, or a name no objective has."""
    for kind in type(sampling).__mro__:
        if kind.__name__ in PREDICTIONS:
            return PREDICTIONS[kind.__name__]
        if kind.__name__ in OTHER_PREDICTIONS:
            return kind.__name__.lower()
    return type(sampling).__name__.lower()


def with_chosen_sampling(
    patcher: comfy.model_patcher.ModelPatcher, settings: ObjectiveSettings
) -> comfy.model_patcher.ModelPatcher:
    """The MODEL with the prediction and schedule that the settings name, or as it is.

    Raises:
        ConfigError: the model cannot have these.
    """
    if settings.prediction == AUTO and settings.zero_terminal_snr == AUTO:
        return patcher
    sampling = patcher.get_model_object("model_sampling")
    now = law_of(sampling)
    wanted = now.prediction if settings.prediction == AUTO else settings.prediction
    if wanted == now.prediction and settings.zero_terminal_snr == AUTO:
        return patcher
    if now.prediction not in CHANGEABLE or wanted not in CHANGEABLE:
        raise ConfigError(
            f"prediction is '{wanted}' and zero_terminal_snr is '{settings.zero_terminal_snr}', "
            f"and the connected model predicts {now.prediction}",
            expected=f"auto for it; only models of {', '.join(CHANGEABLE)} have files that fail "
            "to say which",
            remedy="Set both to auto",
        )
    zero = now.zero_terminal if settings.zero_terminal_snr == AUTO else (
        settings.zero_terminal_snr == "on"
    )
    if zero and wanted == "eps":
        raise ConfigError(
            "zero_terminal_snr is on, and the model predicts noise",
            expected="v-prediction with it: at pure noise there is nothing to learn from "
            "predicting that noise (arXiv 2305.08891)",
            remedy="Set zero_terminal_snr to auto, or prediction to v if the model is one",
        )
    changed = patcher.clone()
    changed.add_object_patch("model_sampling", _sampling(patcher.model.model_config, wanted, zero))
    return changed


def _sampling(config: Any, prediction: str, zero_terminal: bool) -> Any:
    """A sampling object of the host's own parts, as its node ModelSamplingDiscrete makes it."""
    parts = comfy.model_sampling
    if prediction == "edm":
        kind: Any = type("KilnSampling", (parts.ModelSamplingContinuousEDM, parts.EDM), {})
        sampling = kind(config)
        sampling.set_parameters(**EDM_RANGE)
        return sampling
    rule = parts.V_PREDICTION if prediction == "v" else parts.EPS
    kind = type("KilnSampling", (parts.ModelSamplingDiscrete, rule), {})
    return kind(config, zsnr=zero_terminal)


def _shift(sampling: Any, names: set[str]) -> float:
    """``s`` of ``s t / (1 + (s - 1) t)``; Flux's object keeps its logarithm."""
    value = float(getattr(sampling, "shift", 1.0))
    return math.exp(value) if "ModelSamplingFlux" in names else value


def _names(sampling: Any) -> set[str]:
    return {kind.__name__ for kind in type(sampling).__mro__}
