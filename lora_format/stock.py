"""What the stock loader of ComfyUI reads: the names that our files for it have.

Every module is written in the family's own form (``Family.key_prefixes``), which loads whole. Parts
of fused modules keep their split form where the loader reads parts, and are fused where not; their
biases always, because the loader loses those. What it would break off at is written in another form
(``Algorithm.readable``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from ..core.errors import LoraFormatError
from .algorithm import algorithm_of
from .family import Family, families
from .format import Written
from .fuse import fuse_parts
from .ir import Layer, LoraFile, Target
from .stock_names import stock_names
from .table import ModuleTable, flatten

WITH_WEIGHT = ("lora_down", "lora_up", "lora_mid")
"""Factors whose key ends in ``.weight``."""


def stock_name(target: Target, family: Family, table: ModuleTable) -> str:
    """The stock loader's name of a module.

    Raises:
        LoraFormatError: it has none, because it is a part of a module or a component that the
            loader does not know.
    """
    prefix = family.key_prefixes.get(target.component)
    name: str | None = target.module_path
    if target.rows is not None:
        prefix = family.part_prefix
        name = table[target.component].foreign(target)
    if prefix is None or name is None:
        raise LoraFormatError(
            f"{target} has no name in ComfyUI's stock loader",
            expected=f"modules that it reads for {family.title}",
            remedy="Leave this layer out (--lossy)",
        )
    return prefix + (flatten(name) if prefix.endswith("_") else name)


def write_stock(lora: LoraFile, table: ModuleTable) -> Written:
    """Tensors by key, as the stock loader reads them whole.

    Args:
        lora: what to write.
        table: modules of the model it is for.

    Raises:
        LoraFormatError: two modules would share a key, or a layer cannot be named.
    """
    family = families()[lora.family]
    names = stock_names(family, table)
    tensors: dict[str, torch.Tensor] = {}
    for layer in _readable_parts(lora.layers, family, table):
        layer = algorithm_of(layer).readable(layer)
        name = _read_name(stock_name(layer.target, family, table), layer.target, names)
        for key, tensor in _entries(layer, name):
            if key in tensors:
                raise LoraFormatError(
                    f"Two layers share the key {key}",
                    expected="one layer per key",
                    remedy="Please report this model's architecture",
                )
            tensors[key] = tensor
    return Written(tensors)


def _readable_parts(
    layers: tuple[Layer, ...], family: Family, table: ModuleTable
) -> tuple[Layer, ...]:
    if family.part_prefix is None:
        return fuse_parts(layers, table)
    lost = [layer for layer in layers if layer.target.rows and algorithm_of(layer).changes_bias]
    return (*(layer for layer in layers if layer not in lost), *fuse_parts(lost, table))


def _read_name(name: str, target: Target, names: Mapping[str, Target]) -> str:
    """The usual name, or where the loader does not know it (norms of CLIP) another that it does."""
    if name in names:
        return name
    return next((other for other, meant in names.items() if meant == target), name)


def _entries(layer: Layer, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    for factor, tensor in layer.factors.items():
        yield f"{name}.{factor}{'.weight' if factor in WITH_WEIGHT else ''}", tensor.contiguous()
    if layer.alpha is not None:
        dtype = next(iter(layer.factors.values())).dtype
        yield f"{name}.alpha", torch.tensor(layer.alpha, dtype=_alpha_dtype(layer.alpha, dtype))
    if layer.dora_scale is not None:
        yield f"{name}.dora_scale", layer.dora_scale


def _alpha_dtype(alpha: float, dtype: torch.dtype) -> torch.dtype:
    """The factors' dtype, as real files have it, unless that would round the value."""
    exact = float(torch.tensor(alpha, dtype=dtype)) == alpha
    return dtype if exact and dtype.is_floating_point else torch.float32
