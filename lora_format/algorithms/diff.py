"""A whole difference: ``ΔW`` itself, as extracted or baked files have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch

from ..algorithm import Algorithm
from ..ir import Layer


class Diff(Algorithm):
    """One tensor that is added."""

    name = "diff"
    title = "full difference"
    factors: ClassVar[tuple[str, ...]] = ("diff",)
    scaled = False
    has_alpha = False
    multiplied = False

    def is_complete(self, factors: Mapping[str, torch.Tensor]) -> bool:
        return self.factors[0] in factors

    def rank(self, layer: Layer) -> None:
        return None

    def shape(self, layer: Layer) -> tuple[int, int]:
        tensor = layer.factors[self.factors[0]]
        if tensor.ndim == 0:
            raise ValueError(f"{self.factors[0]} is a single number")
        return int(tensor.shape[0]), tensor[0].numel()

    def delta(self, layer: Layer, weight: torch.Tensor | None = None) -> torch.Tensor:
        tensor = layer.factors[self.factors[0]].to(torch.float64)
        return tensor.reshape(tensor.shape[0], -1)

    def at_strength(self, layer: Layer, strength: float) -> Layer:
        factors = {name: tensor.to(torch.float64) * strength
                   for name, tensor in layer.factors.items()}
        return replace(layer, factors=factors)


ALGORITHM = Diff()
