"""OFT and BOFT: the weight's outputs are rotated (arXiv 2306.07280, 2311.06243).

``Q = blocks − blocksᵀ``, ``R = (I + Q)(I − Q)⁻¹``, ``W' = rescale · Rᵀ W``. ``alpha`` is no scale
but the largest norm that Q may have; 0 means no limit. In files the limit is ``alpha · outputs``
(LyCORIS, sd-scripts) or ``alpha`` (ComfyUI); :meth:`Oft.settled` multiplies it in. OFT has blocks
(n, b, b), BOFT (m, n, b, b): m such rotations, each over outputs shuffled like a butterfly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from ..algorithm import Algorithm, Origin, check_sizes
from ..ir import Layer

ROUNDED = 0.02
"""How far blocks that were limited may stand above the limit, rounded to half precision."""


class Oft(Algorithm):
    """Rotations of blocks of outputs."""

    name = "oft"
    title = "OFT"
    factors = ("oft_blocks", "rescale")
    needs_weight = True
    scaled = False
    dimensions = 3

    def is_complete(self, factors: Mapping[str, torch.Tensor]) -> bool:
        blocks = factors.get("oft_blocks")
        return blocks is not None and blocks.ndim == self.dimensions

    def rank(self, layer: Layer) -> None:
        return None

    def shape(self, layer: Layer) -> tuple[int, int]:
        blocks = layer.factors["oft_blocks"]
        if blocks.ndim != self.dimensions or blocks.shape[-1] != blocks.shape[-2]:
            raise ValueError(f"oft_blocks has the shape {tuple(blocks.shape)}")
        outputs = int(blocks.shape[-3] * blocks.shape[-1])
        rescale = layer.factors.get("rescale")
        if rescale is not None:
            check_sizes("the number of rescale", rescale.numel(), outputs)
        return outputs, -1

    def delta(self, layer: Layer, weight: torch.Tensor | None = None) -> torch.Tensor:
        assert weight is not None
        return self._change(layer, rotations_of(layer), weight)

    def _change(
        self, layer: Layer, rotations: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        exact = weight.to(torch.float64).flatten(1)
        turned = self._turn(rotations, exact)
        rescale = layer.factors.get("rescale")
        if rescale is not None:
            turned = turned * rescale.to(torch.float64).reshape(-1, 1)
        return turned - exact

    def stock_delta(self, layer: Layer, weight: torch.Tensor, strength: float) -> torch.Tensor:
        """The loader multiplies by the strength twice, and passes over ``rescale``."""
        factors = {"oft_blocks": layer.factors["oft_blocks"]}
        return self.delta(replace(layer, factors=factors), weight) * strength**2

    def settled(self, layer: Layer, origin: Origin) -> Layer:
        """ComfyUI's trainer takes alpha for the limit itself, all others for a share of it."""
        if not layer.alpha:
            return layer
        limit = layer.alpha if origin.by_host else layer.alpha * self.shape(layer)[0]
        blocks = limit_blocks(layer.factors["oft_blocks"], limit)
        return replace(layer, factors={**layer.factors, "oft_blocks": blocks}, alpha=0.0)

    def is_weakened(self, layer: Layer, alpha: float) -> bool:
        """The stock loader takes alpha for the limit, whoever trained the file."""
        return 0 < alpha * (1 + ROUNDED) < _skew_norm(layer.factors["oft_blocks"])

    def _turn(self, rotations: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """(n, b, b), (n · b, in) -> (n · b, in), rows of each block by Rᵀ as the loader does."""
        parts = weight.unflatten(0, (rotations.shape[0], rotations.shape[-1]))
        return torch.einsum("knm,knj->kmj", rotations, parts).flatten(0, 1)


def limit_blocks(blocks: torch.Tensor, limit: float) -> torch.Tensor:
    """Blocks whose Q has at most this norm; 0 for no limit."""
    norm = _skew_norm(blocks)
    limited = 0 < limit < norm
    return (blocks.to(torch.float64) * (limit / norm)).to(blocks.dtype) if limited else blocks


def _skew_norm(blocks: torch.Tensor) -> float:
    exact = blocks.to(torch.float64)
    return float(torch.linalg.vector_norm(exact - exact.transpose(-1, -2)))


def rotations_of(layer: Layer) -> torch.Tensor:
    """R for each block, in float64."""
    blocks = limit_blocks(layer.factors["oft_blocks"].to(torch.float64), layer.alpha or 0.0)
    skew = blocks - blocks.transpose(-1, -2)
    identity = torch.eye(blocks.shape[-1], dtype=torch.float64)
    return (identity + skew) @ torch.linalg.inv(identity - skew)


ALGORITHM = Oft()
