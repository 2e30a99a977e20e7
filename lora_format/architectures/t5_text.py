"""The encoder of T5 v1.1, as transformers names it."""

from __future__ import annotations

from dataclasses import dataclass

from ..architecture import Architecture, Place, Shape, Shapes, linear


@dataclass(frozen=True, kw_only=True)
class T5Text(Architecture):
    """Sizes of such an encoder.

    Attributes:
        width: of tokens and of attention.
        layers: number of blocks.
        hidden: width inside of feed-forward layers.
    """

    width: int
    layers: int
    hidden: int

    def shapes(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        for index in range(self.layers):
            block = f"encoder.block.{index}.layer."
            attention = (f"0.SelfAttention.{name}" for name in "qkvo")
            found |= linear(block, attention, self.width, self.width)
            gated = ("1.DenseReluDense.wi_0", "1.DenseReluDense.wi_1")
            found |= linear(block, gated, self.hidden, self.width)
            found[f"{block}1.DenseReluDense.wo"] = (self.width, self.hidden)
        return found

    @classmethod
    def aliases(cls, shapes: Shapes) -> dict[str, Place]:
        return {}
