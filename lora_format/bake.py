"""Layers that ComfyUI's stock loader would apply wrongly, multiplied out with the base model.

OFT with scales of rows (``rescale``) comes out without them. DoRA with magnitudes over outputs, as
PEFT and diffusers train it, scales each output row of ``W + ΔW`` to its magnitude; the stock loader
divides by the norm of ``W`` instead of ``W + ΔW`` there. As a whole difference, ``.diff``, both are
right at strength 1; at other strengths the difference is scaled, as the stock loader does with DoRA
too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

import torch

from ..core.errors import LoraFormatError
from .algorithm import algorithm_of
from .ir import Layer, Target
from .table import ModuleTable


class WeightTable(Protocol):
    """The base model's weights."""

    def weight(self, target: Target) -> torch.Tensor:
        """The weight that a target names; of its rows only, where it is a part."""


def bake_unreadable(
    layers: Iterable[Layer], table: ModuleTable, weights: WeightTable | None
) -> tuple[Layer, ...]:
    """Replace layers that the stock loader would apply wrongly.

    Args:
        layers: all layers.
        table: the model's modules.
        weights: the base model's weights; None when they are not at hand.

    Raises:
        LoraFormatError: there is such a layer, and no weights.
    """
    found = tuple(layers)
    wrong = [layer for layer in found if reads_wrongly(layer, table)]
    if not wrong:
        return found
    if weights is None:
        kind = "DoRA with magnitudes over outputs" if wrong[0].dora_scale is not None else (
            "OFT with scales of rows"
        )
        raise LoraFormatError(
            f"{len(wrong)} layers are {kind}, for example "
            f"{wrong[0].target.module_path}. ComfyUI's stock loader applies such layers wrongly",
            expected="the base model, to multiply them out",
            remedy="Connect the model, or name its checkpoint (--base FILE)",
        )
    return tuple(
        bake(layer, weights) if reads_wrongly(layer, table) else layer for layer in found
    )


def reads_wrongly(layer: Layer, table: ModuleTable) -> bool:
    """Whether the stock loader takes the norm of the wrong matrix, or passes over a factor."""
    if layer.algorithm == "oft" and "rescale" in layer.factors:
        return True
    scale = layer.dora_scale
    return scale is not None and scale.shape[0] == table.shape(layer.target)[0]


def bake(layer: Layer, weights: WeightTable) -> Layer:
    """A layer as the difference it makes at strength 1, in the dtype of its factors."""
    weight = weights.weight(layer.target)
    change = total_change(layer, weight)
    dtype = next(iter(layer.factors.values())).dtype
    factors = {"diff": change.reshape(weight.shape).to(dtype)}
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
        norm = changed.norm(dim=1, keepdim=True)
        return changed * (magnitudes.reshape(-1, 1) / norm) - base
    # LyCORIS takes the norm over outputs and kernel for each input.
    whole = changed.reshape(weight.shape)
    by_input = whole.transpose(0, 1).flatten(1).norm(dim=1)
    shape = (1, -1, *[1] * (weight.ndim - 2))
    scaled = whole * (magnitudes.reshape(shape) / by_input.reshape(shape))
    return scaled.flatten(1) - base
