"""Classifier-free guidance with a scale per cell, and what of a MODEL stands in its way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import comfy.model_patcher
import torch

CfgFunction = Callable[[dict[str, Any]], torch.Tensor]
ANY_SCALE_BUT_ONE = 2.0
"""Told to the sampler when cells differ: at scale 1 it would skip the negative prompt."""

# Nothing of these looks at other samples of the batch; the tests draw with each of them.
PROVEN_OPTIONS = {"transformer_options", "sampler_cfg_function", "disable_cfg1_optimization"}
PROVEN_OBJECTS = {"model_sampling"}


def install(patcher: comfy.model_patcher.ModelPatcher, scales: Sequence[float]) -> float:
    """Let a MODEL clone use one scale per cell; returns the scale to tell the sampler.

    Args:
        patcher: the clone; a CFG function that another node put on it is called cell by cell.
        scales: one per cell of the batch.
    """
    if len(scales) == 1:
        return scales[0]
    equal = len(set(scales)) == 1
    existing = patcher.model_options.get("sampler_cfg_function")
    if existing is not None:
        patcher.model_options["sampler_cfg_function"] = _each_alone(existing, scales)
    elif not equal:
        patcher.model_options["sampler_cfg_function"] = _linear(scales)
    return scales[0] if equal else ANY_SCALE_BUT_ONE


def _linear(scales: Sequence[float]) -> CfgFunction:
    """The host's own formula, vectorised."""

    def apply(args: dict[str, Any]) -> torch.Tensor:
        cond, uncond, x = args["cond_denoised"], args["uncond_denoised"], args["input"]
        shape = (-1,) + (1,) * (x.ndim - 1)
        scale = torch.tensor(scales, dtype=x.dtype, device=x.device).view(shape)
        guided = uncond + (cond - uncond) * scale
        if _skips_negative(args):
            guided = torch.where(scale == 1.0, cond, guided)
        return x - guided

    return apply


def _each_alone(existing: CfgFunction, scales: Sequence[float]) -> CfgFunction:
    """Call another node's CFG function once per cell, as if the cell were alone.

    It may compare the scale with a number, or take statistics over its batch: both stay right.
    """

    def apply(args: dict[str, Any]) -> torch.Tensor:
        count = len(scales)
        results = []
        for index, scale in enumerate(scales):
            own = {name: _slice(value, index, count) for name, value in args.items()}
            own["cond_scale"] = scale
            if math.isclose(scale, 1.0) and _skips_negative(args):
                # The host leaves the negative prompt out at scale 1 and hands over zeros.
                own["uncond_denoised"] = torch.zeros_like(own["cond_denoised"])
                own["uncond"] = own["input"] - own["uncond_denoised"]
                own["input_uncond"] = None
            results.append(existing(own))
        return torch.cat(results)

    return apply


def _skips_negative(args: dict[str, Any]) -> bool:
    """Whether the host would skip the negative prompt at scale 1; samplers may ask for it."""
    return not args["model_options"].get("disable_cfg1_optimization", False)


def _slice(value: Any, index: int, count: int) -> Any:
    if isinstance(value, torch.Tensor) and value.ndim > 0 and value.shape[0] == count:
        return value[index : index + 1]
    return value


def obstacle_to_batching(patcher: comfy.model_patcher.ModelPatcher) -> str:
    """Why cells of this MODEL cannot be mixed in a batch; empty when they can.

    What other nodes put on a MODEL may look at its whole batch. Only what was shown to be equal
    is mixed.
    """
    options = patcher.model_options
    odd = sorted(n for n, value in options.items() if n not in PROVEN_OPTIONS and _content(value))
    if odd:
        return f"the MODEL carries {odd[0]}"
    inner = options.get("transformer_options", {})
    odd = sorted(str(name) for name, value in inner.items() if _content(value))
    if odd:
        return f"the MODEL carries {odd[0]} in its transformer options"
    odd = sorted(set(patcher.object_patches) - PROVEN_OBJECTS)
    if odd:
        return f"the MODEL carries another {odd[0]}"
    for name in ("wrappers", "callbacks", "injections", "hook_patches", "additional_models"):
        if _content(getattr(patcher, name, None)):
            return f"the MODEL carries {name}"
    return ""


def _content(value: Any) -> bool:
    """Whether there is anything in it; the host keeps nested tables of nothing."""
    if isinstance(value, dict):
        return any(_content(inner) for inner in value.values())
    if isinstance(value, (list, tuple, set)):
        return any(_content(inner) for inner in value)
    # Not its truth value: a tensor has none, and a false setting is a setting.
    return value is not None
