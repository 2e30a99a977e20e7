"""Text encoders that are language models: Qwen 3 and Gemma 2, as transformers names them."""

from __future__ import annotations

from dataclasses import dataclass

from ..architecture import Architecture, Place, Shape, Shapes, linear


@dataclass(frozen=True, kw_only=True)
class DecoderText(Architecture):
    """Sizes of such an encoder.

    Attributes:
        width: of tokens.
        layers: number of blocks.
        query: rows of the query projection.
        key: rows of the key projection, and of the value projection.
        hidden: width inside of feed-forward layers.
    """

    width: int
    layers: int
    query: int
    key: int
    hidden: int

    def shapes(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        for index in range(self.layers):
            layer = f"model.layers.{index}."
            found[f"{layer}self_attn.q_proj"] = (self.query, self.width)
            found |= linear(layer, ("self_attn.k_proj", "self_attn.v_proj"), self.key, self.width)
            found[f"{layer}self_attn.o_proj"] = (self.width, self.query)
            found |= linear(layer, ("mlp.gate_proj", "mlp.up_proj"), self.hidden, self.width)
            found[f"{layer}mlp.down_proj"] = (self.width, self.hidden)
        return found

    @classmethod
    def aliases(cls, shapes: Shapes) -> dict[str, Place]:
        return {path.removeprefix("model."): Place(path) for path in shapes}
