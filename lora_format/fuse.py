"""Parts of a fused module as one layer, and back, exactly.

For LoRA: the downs one below the other, the ups on a block diagonal, each scale folded into its up;
ranks and alphas may differ. Rows that no part covers stay zero. Parts of different number formats
are put together in one that holds them all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch

from ..core.errors import LoraFormatError
from .algorithm import algorithm_of
from .dtypes import common_dtype
from .ir import Layer, Target
from .table import ModuleTable


def fuse_parts(layers: Iterable[Layer], table: ModuleTable) -> tuple[Layer, ...]:
    """Replace layers of parts by one layer of the fused module each.

    Args:
        layers: some of them with ``rows``.
        table: for the number of rows of fused modules.

    Raises:
        LoraFormatError: an algorithm that cannot be fused.
    """
    kept: list[Layer] = []
    parts: dict[tuple[Target, bool], list[Layer]] = {}
    for layer in layers:
        if layer.target.rows is None:
            kept.append(layer)
            continue
        whole = replace(layer, target=replace(layer.target, rows=None))
        if _place(whole) not in parts:
            kept.append(whole)  # holds the place in the order
        parts.setdefault(_place(whole), []).append(layer)
    return tuple(
        _fuse(parts[_place(layer)], layer.target, table) if _place(layer) in parts else layer
        for layer in kept
    )


def _place(layer: Layer) -> tuple[Target, bool]:
    """A weight and its bias are changed by layers of their own."""
    return layer.target, algorithm_of(layer).changes_bias


def _fuse(parts: list[Layer], whole: Target, table: ModuleTable) -> Layer:
    kinds = {part.algorithm for part in parts}
    if kinds == {"diff"} or kinds == {"bias"}:
        return _fuse_differences(parts, whole, table)
    if kinds != {"lora"} or any("lora_mid" in part.factors for part in parts):
        raise _no_fuse(whole, " and ".join(sorted(kinds)))
    if any(part.dora_scale is not None for part in parts):
        raise _no_fuse(whole, "DoRA")
    downs = [part.factors["lora_down"].flatten(1) for part in parts]
    ups = [part.factors["lora_up"].flatten(1) for part in parts]
    dtype = common_dtype(parts)
    rank, outputs = sum(len(down) for down in downs), table.shape(whole)[0]
    up = torch.zeros(outputs, rank, dtype=dtype)
    first = 0
    for part, factor in zip(parts, ups, strict=True):
        assert part.target.rows is not None
        start, stop = part.target.rows
        last = first + factor.shape[1]
        up[start:stop, first:last] = factor.to(torch.float64) * algorithm_of(part).scale(part)
        first = last
    factors = {"lora_down": torch.cat(downs).to(dtype), "lora_up": up}
    return Layer(target=whole, algorithm="lora", factors=factors, alpha=float(rank))


def _fuse_differences(parts: list[Layer], whole: Target, table: ModuleTable) -> Layer:
    name, first = next(iter(parts[0].factors.items()))
    outputs = table.shape(whole)[0]
    total = torch.zeros(outputs, *first.shape[1:], dtype=common_dtype(parts))
    for part in parts:
        assert part.target.rows is not None
        rows = total[slice(*part.target.rows)]
        rows.copy_(part.factors[name].reshape(rows.shape))
    return replace(parts[0], target=whole, factors={name: total})


def split_parts(layers: Iterable[Layer], table: ModuleTable) -> tuple[Layer, ...]:
    """Replace layers of fused modules by one layer for each part that diffusers has.

    Args:
        layers: of the model's own modules.
        table: says which modules are fused, and of what.

    Raises:
        LoraFormatError: an algorithm that cannot be split.
    """
    found: list[Layer] = []
    for layer in layers:
        network = table[layer.target.component]
        parts = network.parts(layer.target.module_path) if layer.target.rows is None else []
        found += [_split(layer, part) for _, part in parts] or [layer]
    return tuple(found)


def _split(layer: Layer, part: Target) -> Layer:
    assert part.rows is not None
    rows = slice(*part.rows)
    if layer.algorithm == "lora" and "lora_mid" not in layer.factors:
        up, down = layer.factors["lora_up"][rows], layer.factors["lora_down"]
        up, down, alpha = _only_used(up, down, layer.alpha)
        scale = layer.dora_scale
        over_outputs = scale is not None and scale.shape[0] == layer.factors["lora_up"].shape[0]
        if scale is not None and not over_outputs:
            raise _no_fuse(layer.target, "DoRA over inputs")
        factors = {"lora_down": down, "lora_up": up.contiguous()}
        return replace(
            layer, target=part, factors=factors, alpha=alpha,
            dora_scale=None if scale is None else scale[rows].contiguous(),
        )
    if layer.algorithm in ("diff", "bias"):
        factors = {name: value[rows].contiguous() for name, value in layer.factors.items()}
        return replace(layer, target=part, factors=factors)
    raise _no_fuse(layer.target, algorithm_of(layer).title)


def _only_used(
    up: torch.Tensor, down: torch.Tensor, alpha: float | None
) -> tuple[torch.Tensor, torch.Tensor, float | None]:
    """Leave out ranks that this part does not use: what fusing put together comes apart again."""
    used = up.flatten(1).ne(0).any(0)
    count, rank = int(used.sum()), len(used)
    if count in (0, rank) or alpha is None:
        return up, down.contiguous(), alpha
    return up[:, used], down[used].contiguous(), alpha * count / rank


def _no_fuse(target: Target, kind: str) -> LoraFormatError:
    return LoraFormatError(
        f"{target} is a fused module in one of the two formats, and the layer is {kind}",
        expected="plain LoRA, whose parts can be put together and taken apart exactly",
        remedy="Write it for ComfyUI (--to kohya), which reads such layers as they are, or bake "
        "it with the base model",
    )
