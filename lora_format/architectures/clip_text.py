"""CLIP's text encoder, as transformers names it up to 5.5, with ``text_model.`` in front.

Later versions leave that prefix out for CLIP-L, and so do files that were written with them.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..architecture import Architecture, Place, Shape, Shapes, linear

PREFIX = "text_model."


@dataclass(frozen=True, kw_only=True)
class ClipText(Architecture):
    """Sizes of such an encoder.

    Attributes:
        width: of tokens; the feed-forward layers are four times as wide.
        layers: number of blocks.
        projection: width of the pooled output; 0 where the model has none.
        tokens: size of the vocabulary.
    """

    width: int
    layers: int
    projection: int = 0
    tokens: int = 49408

    def shapes(self) -> dict[str, Shape]:
        width = self.width
        found: dict[str, Shape] = {
            "text_model.embeddings.token_embedding": (self.tokens, width),
            "text_model.embeddings.position_embedding": (77, width),
            "text_model.final_layer_norm": (width,),
        }
        for index in range(self.layers):
            layer = f"text_model.encoder.layers.{index}."
            attention = (f"self_attn.{name}_proj" for name in ("q", "k", "v", "out"))
            found |= linear(layer, attention, width, width)
            found[f"{layer}mlp.fc1"] = (4 * width, width)
            found[f"{layer}mlp.fc2"] = (width, 4 * width)
            found |= {f"{layer}layer_norm{number}": (width,) for number in (1, 2)}
        if self.projection:
            found["text_projection"] = (self.projection, width)
        return found

    @classmethod
    def aliases(cls, shapes: Shapes) -> dict[str, Place]:
        return {
            path[len(PREFIX):]: Place(path) for path in shapes if path.startswith(PREFIX)
        }
