"""BOFT: several rotations over outputs shuffled like a butterfly (arXiv 2311.06243).

See ``oft`` for the rotations.
"""

from __future__ import annotations

import torch

from ..ir import Layer
from .oft import Oft, rotations_of


class Boft(Oft):
    """Blocks of shape (m, n, b, b)."""

    name = "boft"
    title = "BOFT"
    dimensions = 4

    def shape(self, layer: Layer) -> tuple[int, int]:
        outputs, inputs = super().shape(layer)
        count, _, size, _ = layer.factors["oft_blocks"].shape
        # The last of the rotations takes its blocks from the longest pieces: 2^count half blocks.
        if size % 2 or count > outputs.bit_length() or outputs % (size << count >> 1):
            raise ValueError(
                f"oft_blocks has {count} times {outputs // size} blocks of {size}, which no "
                f"butterfly of {outputs} outputs has"
            )
        return outputs, inputs

    def stock_delta(self, layer: Layer, weight: torch.Tensor, strength: float) -> torch.Tensor:
        """The loader takes each rotation that far from none, and the change once more so."""
        rotations = rotations_of(layer)
        identity = torch.eye(rotations.shape[-1], dtype=torch.float64)
        partly = rotations * strength + identity * (1 - strength)
        return self._change(layer, partly, weight) * strength

    def _turn(self, rotations: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        size = rotations.shape[-1]
        for index, rotation in enumerate(rotations):
            stride = 2**index * (size // 2)
            parts = weight.unflatten(0, (-1, 2, stride)).transpose(1, 2).flatten(0, 2)
            parts = torch.einsum("bij,bjk->bik", rotation, parts.unflatten(0, (-1, size)))
            weight = parts.flatten(0, 1).unflatten(0, (-1, stride, 2)).transpose(1, 2).flatten(0, 2)
        return weight


ALGORITHM = Boft()
