"""LoRA (arXiv 2106.09685), and for convolutions LoCon with Tucker's core tensor.

``ΔW = alpha / r · up @ down``. With a core (LyCORIS, arXiv 2309.14859) the kernel lies in it:
``ΔW[o, i] = Σ up[o, a] · mid[a, b] · down[b, i]`` for each kernel position.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..algorithm import Algorithm, check_kernel, check_sizes, matrix
from ..ir import Layer


class Lora(Algorithm):
    """Down and up projection, with an optional core."""

    name = "lora"
    title = "LoRA"
    factors = ("lora_down", "lora_up", "lora_mid")
    decomposes = True
    carriers = ("lora_up",)

    def is_complete(self, factors: Mapping[str, torch.Tensor]) -> bool:
        return {"lora_down", "lora_up"} <= set(factors)

    def rank(self, layer: Layer) -> int:
        return int(layer.factors["lora_down"].shape[0])

    def shape(self, layer: Layer) -> tuple[int, int]:
        down, up = layer.factors["lora_down"], layer.factors["lora_up"]
        if down.ndim < 2 or up.ndim < 2:
            raise ValueError("lora_down or lora_up is no matrix")
        rank, inputs = down.shape[0], down[0].numel()
        mid = layer.factors.get("lora_mid")
        if mid is not None:
            check_kernel("lora_mid", mid)
            check_sizes("the second size of lora_mid", mid.shape[1], rank)
            rank, inputs = mid.shape[0], inputs * mid[0, 0].numel()
        check_sizes("the second size of lora_up", up[0].numel(), rank)
        return int(up.shape[0]), int(inputs)

    def low_rank(self, layer: Layer) -> tuple[torch.Tensor, torch.Tensor]:
        up, down = matrix(layer.factors["lora_up"]), matrix(layer.factors["lora_down"])
        mid = layer.factors.get("lora_mid")
        if mid is not None:
            down = torch.einsum("abk,bi->aik", mid.to(torch.float64).flatten(2), down).flatten(1)
        return up * self.scale(layer), down

    def delta(self, layer: Layer, weight: torch.Tensor | None = None) -> torch.Tensor:
        up, down = self.low_rank(layer)
        return up @ down


ALGORITHM = Lora()
