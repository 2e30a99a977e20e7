"""Files for other programs: diffusers' and PEFT's names, with alpha where they look for it.

Both keep alpha outside of the tensors: diffusers in the header (``lora_adapter_metadata``, read
since 0.35), PEFT in ``adapter_config.json``. Readers that know neither take the scale for 1; for
them the scale can be folded into the factors (:func:`fold_alpha`), at the cost of a rounding.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from ..core.errors import LoraFormatError
from .algorithm import algorithm_of
from .dtypes import cast_tensor
from .family import Family, families
from .format import Written
from .fuse import split_parts
from .ir import NETWORK, Layer, LoraFile, Target
from .scales import AT_START, CONFIG_NAME, METADATA_KEY, NESTING
from .table import ModuleTable


def fold_alpha(layers: Iterable[Layer], dtype: torch.dtype | None = None) -> tuple[Layer, ...]:
    """Multiply each scale into a factor, so that alpha is the rank.

    Args:
        layers: of any algorithm.
        dtype: of factors that are multiplied; their own by default.

    Raises:
        LoraFormatError: a value is too large for the dtype.
    """
    return tuple(_folded(layer, dtype) for layer in layers)


def _folded(layer: Layer, dtype: torch.dtype | None) -> Layer:
    algorithm = algorithm_of(layer)
    scale, rank = algorithm.scale(layer), algorithm.rank(layer)
    if scale == 1 or rank is None:
        return layer
    name = algorithm.carrier(layer)
    factor = layer.factors[name]
    scaled = cast_tensor(factor.to(torch.float64) * scale, dtype or factor.dtype, layer)
    return replace(layer, factors={**layer.factors, name: scaled}, alpha=float(rank))


def write_diffusers(lora: LoraFile, table: ModuleTable) -> Written:
    """Tensors by key, as diffusers' ``load_lora_weights`` reads them.

    Args:
        lora: what to write; plain LoRA, also with magnitudes over outputs.
        table: modules of the model it is for.

    Raises:
        LoraFormatError: a layer has no form in diffusers.
    """
    family = families()[lora.family]
    tensors: dict[str, torch.Tensor] = {}
    settings: dict[str, Any] = {}
    for prefix, layers in _by_prefix(lora, family, table).items():
        names = {_foreign_name(layer.target, table): layer for layer in layers}
        tensors |= _entries(names, prefix, table)
        settings |= {f"{prefix}{name}": value for name, value in _settings(names).items()}
    return Written(tensors, {METADATA_KEY: json.dumps(settings, sort_keys=True)}, {})


def write_peft(lora: LoraFile, table: ModuleTable) -> Written:
    """Tensors by key and settings, as ``PeftModel.from_pretrained`` reads them.

    Raises:
        LoraFormatError: a layer has no form in PEFT, or is not the diffusion network's: PEFT keeps
            one file for each model.
    """
    family = families()[lora.family]
    groups = _by_prefix(lora, family, table)
    foreign = [prefix for prefix in groups if prefix != family.diffusers_prefix]
    if foreign:
        raise LoraFormatError(
            f"The LoRA has layers of {', '.join(prefix.rstrip('.') for prefix in foreign)}",
            expected="layers of one network: PEFT keeps one file for each",
            remedy="Write it for diffusers, or leave the text encoders out (--lossy)",
        )
    layers = groups.get(family.diffusers_prefix, [])
    names = {_foreign_name(layer.target, table): layer for layer in layers}
    config = {"peft_type": "LORA", "base_model_name_or_path": None, "bias": "none"}
    config |= _settings(names)
    return Written(_entries(names, NESTING, table), {}, {CONFIG_NAME: config})


def _by_prefix(lora: LoraFile, family: Family, table: ModuleTable) -> dict[str, list[Layer]]:
    encoders = list(family.text_encoders)
    found: dict[str, list[Layer]] = {}
    for layer in split_parts(lora.layers, table):
        _pair(layer)  # nothing but plain LoRA, so one layer for each target
        component = layer.target.component
        prefix = family.diffusers_prefix
        if component != NETWORK:
            number = encoders.index(component) + 1
            prefix = "text_encoder." if number == 1 else f"text_encoder_{number}."
        found.setdefault(prefix, []).append(layer)
    return found


def _foreign_name(target: Target, table: ModuleTable) -> str:
    network = table[target.component]
    if target.component != NETWORK:
        return target.module_path
    name = network.foreign(target)
    if name is None and target.rows is None:
        name = target.module_path  # the same in both
    if name is None:
        raise LoraFormatError(
            f"{target} has no name in diffusers",
            expected="modules that diffusers' model has",
            remedy="Write it for ComfyUI (--to kohya)",
        )
    return name


def _entries(
    layers: Mapping[str, Layer], prefix: str, table: ModuleTable
) -> dict[str, torch.Tensor]:
    """Tensors by key, shaped as the modules that PEFT makes of them; ComfyUI's may be flat."""
    found: dict[str, torch.Tensor] = {}
    for name, layer in layers.items():
        down, up = _pair(layer)
        outputs, *inputs = table.shape(layer.target)
        down, up = down.reshape(-1, *inputs), up.reshape(outputs, -1, *[1] * (len(inputs) - 1))
        found[f"{prefix}{name}.lora_A.weight"] = down
        found[f"{prefix}{name}.lora_B.weight"] = up
        if layer.dora_scale is not None:
            found[f"{prefix}{name}.lora_magnitude_vector"] = _magnitudes(layer, down, up)
    return found


def _pair(layer: Layer) -> tuple[torch.Tensor, torch.Tensor]:
    if layer.algorithm != "lora" or "lora_mid" in layer.factors:
        title = algorithm_of(layer).title + (" with a core" if "lora_mid" in layer.factors else "")
        raise LoraFormatError(
            f"{layer.target} is {title}",
            expected="plain LoRA, the only algorithm that diffusers and PEFT share",
            remedy="Write it for ComfyUI (--to kohya), or resize it to a plain LoRA first",
        )
    return layer.factors["lora_down"], layer.factors["lora_up"]


def _magnitudes(layer: Layer, down: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    scale = layer.dora_scale
    assert scale is not None
    if scale.shape[0] != up.shape[0]:
        raise LoraFormatError(
            f"{layer.target} has magnitudes over inputs, as LyCORIS trains them",
            expected="magnitudes over outputs, the only kind that diffusers and PEFT have",
            remedy="Write it for ComfyUI (--to kohya), which reads it as it is",
        )
    return scale.reshape(1, -1, 1, 1) if down.ndim == 4 else scale.flatten()


def _settings(layers: Mapping[str, Layer]) -> dict[str, Any]:
    """PEFT's settings: the most frequent rank and alpha, and patterns for the others."""
    ranks = {name: int(layer.factors["lora_down"].shape[0]) for name, layer in layers.items()}
    alphas = {
        name: ranks[name] if layer.alpha is None else layer.alpha for name, layer in layers.items()
    }
    rank, alpha = _most_common(ranks.values()), _most_common(alphas.values())
    patterns = _patterns(layers)
    return {
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {patterns[n]: value for n, value in ranks.items() if value != rank},
        "alpha_pattern": {patterns[n]: value for n, value in alphas.items() if value != alpha},
        "target_modules": sorted(layers),
        "use_dora": any(layer.dora_scale is not None for layer in layers.values()),
        "use_rslora": False,
    }


def _patterns(names: Iterable[str]) -> dict[str, str]:
    """What means each module in PEFT's patterns, and no other one."""
    whole = list(names)
    ends = {name[index + 1:] for name in whole for index, mark in enumerate(name) if mark == "."}
    return {name: AT_START + name if name in ends else name for name in whole}


def _most_common(values: Iterable[float]) -> float:
    counted: Sequence[tuple[float, int]] = Counter(values).most_common(1)
    value = counted[0][0] if counted else 1
    return int(value) if float(value).is_integer() else value
