"""Lumina 2 and Z-Image: a transformer of single-stream layers with two refiners.

The model's own names have one ``attention.qkv`` and ``attention.out`` where diffusers has ``to_q``,
``to_k``, ``to_v`` and ``to_out.0``; of Lumina 2 it calls nearly everything by names of its own.
Lumina 2 has fewer heads for keys and values than for queries, so the rows of ``qkv`` are not
thirds: they follow from the shapes.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..architecture import Architecture, Place, Shape, Shapes

TIMESTEP_WIDTH = 256
LUMINA2_OUTER = {
    "x_embedder": "x_embedder",
    "cap_embedder.0": "time_caption_embed.caption_embedder.0",
    "cap_embedder.1": "time_caption_embed.caption_embedder.1",
    "t_embedder.mlp.0": "time_caption_embed.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "time_caption_embed.timestep_embedder.linear_2",
    "final_layer.linear": "norm_out.linear_2",
    "final_layer.adaLN_modulation.1": "norm_out.linear_1",
}
LUMINA2_INNER = {
    "attention.": "attn.",
    "attention_norm": "norm",
    "adaLN_modulation.1": "norm1.linear",
    "feed_forward.w": "feed_forward.linear_",
}


@dataclass(frozen=True, kw_only=True)
class Lumina(Architecture):
    """Sizes of such a transformer.

    Attributes:
        width: of tokens.
        layers: main layers; the two refiners have two each.
        key_width: rows of keys, and of values, in ``qkv``.
        hidden: width inside of feed-forward layers.
        head_width: of one attention head, for the norms of queries and keys.
        caption_width: of the text encoder's output.
        modulation_width: input of the layers' modulation.
        modulation_index: 1 where an activation stands before that layer (Lumina 2), else 0.
        timestep_hidden: width inside of the timestep's embedding.
        latent_channels: of the picture.
        patch: side of a patch.
    """

    width: int
    layers: int
    key_width: int
    hidden: int
    head_width: int
    caption_width: int
    modulation_width: int
    modulation_index: int
    timestep_hidden: int
    latent_channels: int = 16
    patch: int = 2

    def shapes(self) -> dict[str, Shape]:
        width, pixels = self.width, self.patch**2 * self.latent_channels
        found: dict[str, Shape] = {
            "x_embedder": (width, pixels),
            "cap_embedder.0": (self.caption_width,),
            "cap_embedder.1": (width, self.caption_width),
            "t_embedder.mlp.0": (self.timestep_hidden, TIMESTEP_WIDTH),
            "t_embedder.mlp.2": (self.modulation_width, self.timestep_hidden),
            "final_layer.linear": (pixels, width),
            "final_layer.adaLN_modulation.1": (width, self.modulation_width),
        }
        for index in range(2):
            found |= self._layer(f"context_refiner.{index}", modulated=False)
            found |= self._layer(f"noise_refiner.{index}", modulated=True)
        for index in range(self.layers):
            found |= self._layer(f"layers.{index}", modulated=True)
        return found

    def _layer(self, prefix: str, *, modulated: bool) -> dict[str, Shape]:
        width = self.width
        found: dict[str, Shape] = {
            f"{prefix}.attention.qkv": (width + 2 * self.key_width, width),
            f"{prefix}.attention.out": (width, width),
            f"{prefix}.attention.q_norm": (self.head_width,),
            f"{prefix}.attention.k_norm": (self.head_width,),
            f"{prefix}.feed_forward.w1": (self.hidden, width),
            f"{prefix}.feed_forward.w2": (width, self.hidden),
            f"{prefix}.feed_forward.w3": (self.hidden, width),
        }
        for norm in ("attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2"):
            found[f"{prefix}.{norm}"] = (width,)
        if modulated:
            name = f"{prefix}.adaLN_modulation.{self.modulation_index}"
            found[name] = (4 * width, self.modulation_width)
        return found

    @classmethod
    def aliases(cls, shapes: Shapes) -> dict[str, Place]:
        names: dict[str, Place] = {}
        older = any(path.endswith(".adaLN_modulation.1") and "refiner" in path for path in shapes)
        # Files for Lumina 2 are seen with both kinds of names; diffusers' own come first.
        for rename in (_lumina2_name, _z_image_name) if older else (_z_image_name,):
            for path, shape in shapes.items():
                if path.endswith(".attention.qkv"):
                    names |= _parts(path, rename(path), shape, _query_width(path, shapes))
                else:
                    names.setdefault(rename(path), Place(path))
        return names


def _query_width(path: str, shapes: Shapes) -> int:
    return shapes.get(path[:-3] + "out", shapes[path])[-1]


def _z_image_name(path: str) -> str:
    """Diffusers' name in Z-Image; of a fused module, what stands before its parts."""
    if path.endswith(".attention.qkv"):
        return path[:-3]
    if path.endswith(".attention.out"):
        return path[:-3] + "to_out.0"
    if path.endswith((".attention.q_norm", ".attention.k_norm")):
        return f"{path[:-6]}norm_{path[-6]}"
    if path.startswith("final_layer."):
        return path.replace("final_layer.", "all_final_layer.2-1.")
    return "all_x_embedder.2-1" if path == "x_embedder" else path


def _lumina2_name(path: str) -> str:
    """The same in Lumina 2."""
    if path in LUMINA2_OUTER:
        return LUMINA2_OUTER[path]
    if path.endswith(".attention_norm1") and not path.startswith("context_refiner."):
        return path.replace("attention_norm1", "norm1.norm")
    name = _z_image_name(path)
    for own, other in LUMINA2_INNER.items():
        name = name.replace(f".{own}", f".{other}")
    return name


def _parts(path: str, before: str, shape: Shape, query: int) -> dict[str, Place]:
    key = (shape[0] - query) // 2
    starts = {"q": (0, query), "k": (query, query + key), "v": (query + key, query + 2 * key)}
    return {f"{before}to_{part}": Place(path, rows) for part, rows in starts.items()}
