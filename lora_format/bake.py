"""Layers that ComfyUI's stock loader would apply wrongly, multiplied out with the base model.

OFT with scales of rows (``rescale``) comes out without them. DoRA with magnitudes over outputs, as
PEFT and diffusers train it, scales each output row of ``W + ΔW`` to its magnitude; the stock loader
divides by the norm of ``W`` instead of ``W + ΔW`` there. As a whole difference, ``.diff``, both are
right at strength 1; at other strengths the difference is scaled, as the stock loader does with DoRA
too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

import torch

from ..core.errors import LoraFormatError
from .algorithm import algorithm_of
from .dtypes import cast_tensor, is_finite
from .ir import Layer, Target
from .table import ModuleTable

NO_NORM = 1e-30
"""Stands for the norm of inputs or outputs that are zero, such as unused channels; they stay so."""

STOCK_EPSILON = torch.finfo(torch.float32).eps
"""What the stock loader adds to norms."""


class WeightTable(Protocol):
    """The base model's weights."""

    def weight(self, target: Target) -> torch.Tensor:
        """The weight that a target names; of its rows only, where it is a part."""


def bake_unreadable(
    layers: Iterable[Layer],
    table: ModuleTable,
    weights: WeightTable | None,
    *,
    dtype: torch.dtype | None = None,
    left_out: list[str] | None = None,
) -> tuple[Layer, ...]:
    """Replace layers that the stock loader would apply wrongly.

    Args:
        layers: all layers.
        table: the model's modules.
        weights: the base model's weights; None when they are not at hand.
        dtype: of the differences; that of the layers' factors by default.
        left_out: takes what cannot be replaced; without it, that is an error.

    Raises:
        LoraFormatError: there is such a layer, and no weights.
    """
    found = tuple(layers)

    def refusal(layer: Layer, kind: str) -> LoraFormatError:
        count = sum(wrong_kind(each, table) == kind for each in found)
        return LoraFormatError(
            f"{count} layers are {kind}, for example {layer.target.module_path}. ComfyUI's stock "
            "loader applies such layers wrongly",
            expected="the base model, to multiply them out",
            remedy="Connect the model or name its checkpoint (--base FILE), or leave such layers "
            "out (--lossy)",
        )

    return multiplied_out(
        found, weights, lambda layer: wrong_kind(layer, table), refusal, dtype=dtype,
        left_out=left_out,
    )


def multiplied_out(
    layers: Iterable[Layer],
    weights: WeightTable | None,
    kind_of: Callable[[Layer], str | None],
    refusal: Callable[[Layer, str], LoraFormatError],
    *,
    dtype: torch.dtype | None,
    left_out: list[str] | None,
) -> tuple[Layer, ...]:
    """Replace layers of certain kinds by the differences that they make.

    Args:
        layers: all layers.
        weights: the base model's weights; None when they are not at hand.
        kind_of: what a layer is that has to be replaced; None for one that stays.
        refusal: makes the error of a layer of such a kind where there are no weights.
        dtype: of the differences; that of the layers' factors by default.
        left_out: takes what cannot be replaced; without it, that is an error.

    Raises:
        LoraFormatError: the refusal; or a difference is not finite.
    """
    found: list[Layer] = []
    for layer in layers:
        kind = kind_of(layer)
        if kind is None:
            found.append(layer)
        elif weights is not None:
            found.append(bake(layer, weights, dtype))
        elif left_out is not None:
            left_out.append(f"{layer.target} is {kind}")
        else:
            raise refusal(layer, kind)
    return tuple(found)


def wrong_kind(layer: Layer, table: ModuleTable) -> str | None:
    """What a layer is that the stock loader takes the wrong norm for, or of which it skips a part.

    None for layers that it applies right.
    """
    if layer.algorithm == "oft" and "rescale" in layer.factors:
        return "OFT with scales of rows"
    scale = layer.dora_scale
    if scale is not None and scale.shape[0] == table.shape(layer.target)[0]:
        return "DoRA with magnitudes over outputs"
    return None


def reads_wrongly(layer: Layer, table: ModuleTable) -> bool:
    """Whether the stock loader applies a layer wrongly."""
    return wrong_kind(layer, table) is not None


def bake(layer: Layer, weights: WeightTable, dtype: torch.dtype | None = None) -> Layer:
    """A layer as the difference it makes at strength 1.

    Args:
        layer: of any algorithm.
        weights: the base model's.
        dtype: of the difference; that of the layer's factors by default.

    Raises:
        LoraFormatError: it is not finite, or too large for the dtype.
    """
    weight = weights.weight(layer.target)
    change = total_change(layer, weight)
    if not is_finite(change):
        raise LoraFormatError(
            f"{layer.target}, multiplied out with the base model, has values that are no numbers",
            expected="finite factors, magnitudes and weights",
            remedy="Check that the base model is the right one and whole, and inspect the LoRA",
        )
    kept = dtype or next(iter(layer.factors.values())).dtype
    factors = {"diff": cast_tensor(change.reshape(weight.shape), kept, layer)}
    return replace(layer, algorithm="diff", factors=factors, alpha=None, dora_scale=None)


def total_change(layer: Layer, weight: torch.Tensor) -> torch.Tensor:
    """What a layer adds to a weight at strength 1, weight decomposition included.

    Args:
        layer: of any algorithm.
        weight: (out, in, …).

    Returns:
        (out, in times kernel positions) in float64.
    """
    delta = algorithm_of(layer).delta(layer, weight)
    if layer.dora_scale is None:
        return delta
    base = weight.to(torch.float64).flatten(1)
    changed = base + delta
    magnitudes = layer.dora_scale.to(torch.float64)
    if magnitudes.shape[0] == weight.shape[0]:
        norm = changed.norm(dim=1, keepdim=True).clamp(min=NO_NORM)
        return changed * (magnitudes.reshape(-1, 1) / norm) - base
    # LyCORIS takes the norm over outputs and kernel for each input.
    whole = changed.reshape(weight.shape)
    by_input = whole.transpose(0, 1).flatten(1).norm(dim=1).clamp(min=NO_NORM)
    shape = (1, -1, *[1] * (weight.ndim - 2))
    scaled = whole * (magnitudes.reshape(shape) / by_input.reshape(shape))
    return scaled.flatten(1) - base


def stock_change(layer: Layer, weight: torch.Tensor, strength: float) -> torch.Tensor:
    """What the stock loader adds to a weight for a layer at a strength, right or wrong.

    It decomposes at strength 1 and scales the difference; for magnitudes over outputs it takes the
    norm of the weight alone (``comfy.weight_adapter.base.weight_decompose``).

    Args:
        layer: of any algorithm.
        weight: (out, in, …).
        strength: as the loader's.

    Returns:
        (out, in times kernel positions) in float64.
    """
    algorithm = algorithm_of(layer)
    if layer.dora_scale is None:
        return algorithm.stock_delta(layer, weight, strength)
    base = weight.to(torch.float64)
    changed = base + algorithm.stock_delta(layer, weight, 1.0).reshape(base.shape)
    magnitudes = layer.dora_scale.to(torch.float64)
    ones = [1] * (base.ndim - 2)
    if magnitudes.shape[0] == base.shape[0]:
        norm = base.flatten(1).norm(dim=1).reshape(-1, 1, *ones)
    else:
        norm = changed.transpose(0, 1).flatten(1).norm(dim=1).reshape(1, -1, *ones)
    scaled = changed * (magnitudes.reshape(norm.shape) / (norm + STOCK_EPSILON))
    return (scaled - base).flatten(1) * strength
