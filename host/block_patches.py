"""A LoRA in parts of the model, patched into the weights: what a blocks axis draws exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import comfy.lora
import comfy.lora_convert
import comfy.model_patcher
import torch

from .lora_factors import PREFIX


def patch_blocks(
    model: comfy.model_patcher.ModelPatcher,
    tensors: Mapping[str, torch.Tensor],
    strength: float,
    part: Callable[[str], float],
) -> comfy.model_patcher.ModelPatcher:
    """A clone with the LoRA applied as the stock loader does, each module at its own strength.

    Args:
        model: the MODEL.
        tensors: of the LoRA file.
        strength: of the LoRA.
        part: module path of the network -> factor on the strength there.
    """
    names = comfy.lora.model_lora_keys_unet(model.model, {})
    converted = comfy.lora_convert.convert_lora(dict(tensors))
    patches = comfy.lora.load_lora(converted, names, log_missing=False)
    groups: dict[float, dict[object, object]] = {}
    for key, patch in patches.items():
        factor = part(_path_of(key))
        if factor:
            groups.setdefault(factor, {})[key] = patch
    patched = model.clone()
    for factor, group in groups.items():
        patched.add_patches(group, strength * factor)
    return patched


def _path_of(key: object) -> str:
    """Keys are names of weights, or such a name with the slice that is meant."""
    name = key[0] if isinstance(key, tuple) else key
    return str(name).removeprefix(PREFIX).rpartition(".")[0]
