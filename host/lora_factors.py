"""Reads a LoRA file exactly as the stock loader does, and tells what it would do with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.lora
import comfy.lora_convert
import comfy.utils
import torch
from torch import nn

from ..core.errors import LoraFormatError
from ..sweep.beside import Factors

PREFIX = "diffusion_model."


@dataclass(frozen=True)
class LoadedLora:
    """A LoRA file against a MODEL and CLIP.

    Attributes:
        tensors: the file's tensors.
        matched: how many of its keys the stock loader uses.
        unmatched: keys that it would leave out.
        factors: plain LoRA factors by module path of the network.
        touches_text: whether it changes a text encoder.
        obstacle: why it cannot be applied beside the weights; empty when it can.
    """

    tensors: Mapping[str, torch.Tensor]
    matched: int
    unmatched: tuple[str, ...]
    factors: Mapping[str, Factors]
    touches_text: bool
    obstacle: str


def load_lora(path: Path, model: Any, clip: Any) -> LoadedLora:
    """Read a file as the stock loader reads it.

    Raises:
        LoraFormatError: a pickle file, an unreadable one, or one that matches nothing.
    """
    tensors = _read(path)
    unet_keys = comfy.lora.model_lora_keys_unet(model.model, {})
    clip_keys = comfy.lora.model_lora_keys_clip(clip.cond_stage_model, {})
    converted = comfy.lora_convert.convert_lora(dict(tensors))
    patches = comfy.lora.load_lora(converted, {**unet_keys, **clip_keys}, log_missing=False)
    used = _used_keys(patches, converted, {**unet_keys, **clip_keys})
    unmatched = tuple(sorted(set(converted) - used))
    if not patches:
        raise LoraFormatError(
            f"The stock loader knows none of the {len(converted)} keys of {path.name}, for "
            f"example {next(iter(converted), 'none at all')}",
            expected="a LoRA for the connected model, in names that ComfyUI reads",
            remedy="Check that it was trained for this kind of model, or convert it",
        )
    targets = set(unet_keys.values())
    model_patches = {key: patch for key, patch in patches.items() if _in(key, targets)}
    factors, obstacle = _plain_factors(model_patches, model.model)
    return LoadedLora(
        tensors=tensors,
        matched=len(used),
        unmatched=unmatched,
        factors=factors,
        touches_text=len(model_patches) < len(patches),
        obstacle=obstacle,
    )


def _read(path: Path) -> Mapping[str, torch.Tensor]:
    if path.suffix.lower() not in (".safetensors", ".sft"):
        raise LoraFormatError(
            f"{path.name} is not a safetensors file",
            expected="a .safetensors file, which cannot carry programs",
            remedy="Save the LoRA as safetensors where you got it from",
        )
    try:
        tensors: Mapping[str, torch.Tensor] = comfy.utils.load_torch_file(
            str(path), safe_load=True
        )
    except Exception as error:
        raise LoraFormatError(
            f"{path.name} cannot be read: {error}",
            expected="a whole safetensors file",
            remedy="Download or train it again",
        ) from error
    return tensors


def _used_keys(
    patches: Mapping[Any, Any], tensors: Mapping[str, torch.Tensor], key_map: Mapping[str, Any]
) -> set[str]:
    """Keys that ended up in a patch; the loader itself only logs the others."""
    used: set[str] = set()
    for patch in patches.values():
        used |= set(getattr(patch, "loaded_keys", ()))
    plain = ("w_norm", "b_norm", "diff", "diff_b", "set_weight", "alpha", "dora_scale")
    for name, target in key_map.items():
        if target in patches:
            used |= {f"{name}.{suffix}" for suffix in plain} & set(tensors)
    return used


def _in(key: Any, targets: set[Any]) -> bool:
    if key in targets:
        return True
    # A bias patch stands beside its weight's key.
    return isinstance(key, str) and key.endswith(".bias") and f"{key[:-5]}.weight" in targets


def _plain_factors(
    patches: Mapping[Any, Any], model: nn.Module
) -> tuple[dict[str, Factors], str]:
    """Factors of every module, or the first reason why one is no plain LoRA."""
    modules = dict(model.named_modules())
    parts: dict[str, list[Factors]] = {}
    for key, patch in patches.items():
        name, rows = _sliced(key)
        reason = _why_not_plain(name, patch)
        path = name.removesuffix(".weight")
        own = None if reason else _factors_of(patch, modules.get(path), rows)
        if own is None:
            return {}, reason or f"{path} is no layer that a LoRA of this shape can stand beside"
        parts.setdefault(path.removeprefix(PREFIX), []).append(own)
    return {path: _joined(each) for path, each in parts.items()}, ""


def _sliced(key: Any) -> tuple[str, slice | None]:
    """The weight's name, and which of its rows are meant; families with a fused qkv have such."""
    if isinstance(key, str):
        return key, None
    name, (dim, start, length) = key[0], key[1]
    # Only rows: a part of the input would be another layer.
    return (name, slice(start, start + length)) if dim == 0 else ("", None)


def _joined(parts: Sequence[Factors]) -> Factors:
    """Several LoRAs of one layer as a single one, scales folded into the ups."""
    if len(parts) == 1:
        return parts[0]
    return Factors(
        down=torch.cat([part.down for part in parts]),
        up=torch.cat([part.up * part.scale for part in parts], dim=1),
        scale=1.0,
    )


def _why_not_plain(key: str, patch: Any) -> str:
    if getattr(patch, "name", "") != "lora":
        return f"{key} carries {getattr(patch, 'name', 'a plain difference')}, not a LoRA"
    if not key.startswith(PREFIX):
        return f"{key} lies outside of the network"
    _, _, _, mid, dora_scale, reshape = patch.weights
    if dora_scale is not None:
        return f"{key} is a DoRA, whose effect is not linear in the strength"
    if mid is not None:
        return f"{key} has a Tucker core"
    if reshape is not None:
        return f"{key} changes the shape of a weight"
    return ""


def _factors_of(patch: Any, module: nn.Module | None, rows: slice | None) -> Factors | None:
    """None where the stock loader's product would not be this layer's own computation.

    Args:
        patch: the stock loader's adapter.
        module: the layer.
        rows: of the weight, if only some are changed.
    """
    up, down, alpha = patch.weights[0], patch.weights[1], patch.weights[2]
    rank = down.shape[0]
    if isinstance(module, nn.Conv2d):
        if module.groups != 1 or module.padding_mode != "zeros":
            return None
        down_shape = (rank, module.in_channels, *module.kernel_size)
        up_shape: tuple[int, ...] = (module.out_channels, rank, 1, 1)
    elif isinstance(module, nn.Linear):
        down_shape, up_shape = (rank, module.in_features), (module.out_features, rank)
        if rows is not None:
            whole = up.new_zeros(up_shape)
            if up.shape[0] != len(range(*rows.indices(len(whole)))):
                return None
            whole[rows] = up.reshape(-1, rank)
            up = whole
    else:
        return None
    if rows is not None and not isinstance(module, nn.Linear):
        return None
    if down.numel() != math.prod(down_shape) or up.numel() != math.prod(up_shape):
        return None
    return Factors(
        down=down.reshape(down_shape),
        up=up.reshape(up_shape),
        scale=1.0 if alpha is None else float(alpha) / rank,
    )
