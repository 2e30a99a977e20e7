"""Flux.1: double blocks for picture and text side by side, then single blocks for both.

The model's own names fuse q, k, v (``img_attn.qkv``), and in single blocks also the feed-forward
layer's first half (``linear1``); diffusers has them apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..architecture import Architecture, Place, Shape, Shapes

OUTER = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "final_layer.linear": "proj_out",
}
DOUBLE = {
    "img_mod.lin": "norm1.linear",
    "txt_mod.lin": "norm1_context.linear",
    "img_attn.proj": "attn.to_out.0",
    "txt_attn.proj": "attn.to_add_out",
    "img_mlp.0": "ff.net.0.proj",
    "img_mlp.2": "ff.net.2",
    "txt_mlp.0": "ff_context.net.0.proj",
    "txt_mlp.2": "ff_context.net.2",
    "img_attn.norm.query_norm": "attn.norm_q",
    "img_attn.norm.key_norm": "attn.norm_k",
    "txt_attn.norm.query_norm": "attn.norm_added_q",
    "txt_attn.norm.key_norm": "attn.norm_added_k",
}
SINGLE = {
    "linear2": "proj_out",
    "modulation.lin": "norm.linear",
    "norm.query_norm": "attn.norm_q",
    "norm.key_norm": "attn.norm_k",
}
FUSED = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
}


@dataclass(frozen=True, kw_only=True)
class Flux(Architecture):
    """Sizes of such a transformer.

    Attributes:
        width: of tokens.
        doubles: number of double blocks.
        singles: number of single blocks.
        context: width of the text condition.
        pooled: width of the pooled text condition.
        guidance: whether the guidance is embedded (dev has it, schnell has not).
        pixels: values per patch.
        head_width: of one attention head, for the norms of queries and keys.
    """

    width: int
    doubles: int
    singles: int
    context: int
    pooled: int
    guidance: bool
    pixels: int = 64
    head_width: int = 128

    def shapes(self) -> dict[str, Shape]:
        width = self.width
        found: dict[str, Shape] = {
            "img_in": (width, self.pixels),
            "txt_in": (width, self.context),
            "final_layer.linear": (self.pixels, width),
            "final_layer.adaLN_modulation.1": (2 * width, width),
        }
        embedders = {"time_in": 256, "vector_in": self.pooled}
        if self.guidance:
            embedders["guidance_in"] = 256
        for name, inputs in embedders.items():
            found[f"{name}.in_layer"] = (width, inputs)
            found[f"{name}.out_layer"] = (width, width)
        for index in range(self.doubles):
            for stream in ("img", "txt"):
                prefix = f"double_blocks.{index}.{stream}_"
                found[f"{prefix}mod.lin"] = (6 * width, width)
                found[f"{prefix}attn.qkv"] = (3 * width, width)
                found[f"{prefix}attn.proj"] = (width, width)
                found[f"{prefix}mlp.0"] = (4 * width, width)
                found[f"{prefix}mlp.2"] = (width, 4 * width)
                found |= self._norms(f"{prefix}attn.norm")
        for index in range(self.singles):
            prefix = f"single_blocks.{index}."
            found[f"{prefix}linear1"] = (7 * width, width)
            found[f"{prefix}linear2"] = (width, 5 * width)
            found[f"{prefix}modulation.lin"] = (3 * width, width)
            found |= self._norms(f"{prefix}norm")
        return found

    def _norms(self, prefix: str) -> dict[str, Shape]:
        return {f"{prefix}.{name}_norm": (self.head_width,) for name in ("query", "key")}

    @classmethod
    def aliases(cls, shapes: Shapes) -> dict[str, Place]:
        names: dict[str, Place] = {}
        for path, shape in shapes.items():
            if path in OUTER:
                names[OUTER[path]] = Place(path)
            match = re.match(r"(double|single)_blocks\.(\d+)\.(.+)", path)
            if not match:
                continue
            double = match[1] == "double"
            prefix = f"{'' if double else 'single_'}transformer_blocks.{match[2]}."
            inner = match[3]
            if inner in FUSED:
                width = shape[1]
                ends = [width, 2 * width, 3 * width, shape[0]]
                for name, start, stop in zip(FUSED[inner], [0, *ends], ends, strict=False):
                    names[prefix + name] = Place(path, (start, stop))
            elif inner in (DOUBLE if double else SINGLE):
                names[prefix + (DOUBLE if double else SINGLE)[inner]] = Place(path)
        return names
