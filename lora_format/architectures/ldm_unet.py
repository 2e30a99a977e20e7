"""The UNet of Stable Diffusion 1.5 and SDXL, as latent-diffusion names it.

``input_blocks.N.M`` counts through all levels, where diffusers has
``down_blocks.LEVEL.resnets.I`` and ``.attentions.I``. The one is derived from the other by walking
through the blocks, so UNets of any depth, and pruned ones, need no table of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..architecture import Architecture, Place, Shape, Shapes, linear

RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
OUTER = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}


@dataclass(frozen=True, kw_only=True)
class LdmUnet(Architecture):
    """Sizes of such a UNet.

    Attributes:
        channels: of the first level.
        multiples: channels of each level, in multiples of that.
        resnets: per level on the way down; one more on the way up.
        depths: transformer blocks per attention, for each level; 0 for none.
        middle_depth: the same for the middle block.
        context: width of the text condition.
        extra: width of the pooled condition; 0 for none.
        linear_projections: whether proj_in and proj_out are Linear instead of 1×1 convolutions.
        latent_channels: of the picture.
    """

    channels: int
    multiples: tuple[int, ...]
    resnets: int
    depths: tuple[int, ...]
    middle_depth: int
    context: int
    extra: int
    linear_projections: bool
    latent_channels: int = 4

    def shapes(self) -> dict[str, Shape]:
        embedding = 4 * self.channels
        found: dict[str, Shape] = {
            "time_embed.0": (embedding, self.channels),
            "time_embed.2": (embedding, embedding),
            "input_blocks.0.0": (self.channels, self.latent_channels, 3, 3),
        }
        if self.extra:
            found["label_emb.0.0"] = (embedding, self.extra)
            found["label_emb.0.2"] = (embedding, embedding)
        width, skips = self._down(found)
        for index, part in enumerate(("middle_block.0", "middle_block.2")):
            found |= self._resnet(part, width, width)
            if index == 0:
                found |= self._attention("middle_block.1", width, self.middle_depth)
        self._up(found, width, skips)
        found["out.0"] = (self.channels,)
        found["out.2"] = (self.latent_channels, self.channels, 3, 3)
        return found

    def _down(self, found: dict[str, Shape]) -> tuple[int, list[int]]:
        width, skips, block = self.channels, [self.channels], 1
        for level, multiple in enumerate(self.multiples):
            for _ in range(self.resnets):
                after = multiple * self.channels
                found |= self._resnet(f"input_blocks.{block}.0", width, after)
                found |= self._attention(f"input_blocks.{block}.1", after, self.depths[level])
                width, block = after, block + 1
                skips.append(width)
            if level < len(self.multiples) - 1:
                found[f"input_blocks.{block}.0.op"] = (width, width, 3, 3)
                skips.append(width)
                block += 1
        return width, skips

    def _up(self, found: dict[str, Shape], width: int, skips: list[int]) -> None:
        block = 0
        for level, multiple in reversed(list(enumerate(self.multiples))):
            for index in range(self.resnets + 1):
                after = multiple * self.channels
                found |= self._resnet(f"output_blocks.{block}.0", width + skips.pop(), after)
                depth = self.depths[level]
                found |= self._attention(f"output_blocks.{block}.1", after, depth)
                width = after
                if level and index == self.resnets:
                    child = 2 if depth else 1
                    found[f"output_blocks.{block}.{child}.conv"] = (width, width, 3, 3)
                block += 1

    def _resnet(self, prefix: str, before: int, after: int) -> dict[str, Shape]:
        found: dict[str, Shape] = {
            f"{prefix}.in_layers.0": (before,),
            f"{prefix}.in_layers.2": (after, before, 3, 3),
            f"{prefix}.emb_layers.1": (after, 4 * self.channels),
            f"{prefix}.out_layers.0": (after,),
            f"{prefix}.out_layers.3": (after, after, 3, 3),
        }
        if before != after:
            found[f"{prefix}.skip_connection"] = (after, before, 1, 1)
        return found

    def _attention(self, prefix: str, width: int, depth: int) -> dict[str, Shape]:
        if not depth:
            return {}
        kernel = () if self.linear_projections else (1, 1)
        found: dict[str, Shape] = {
            f"{prefix}.norm": (width,),
            f"{prefix}.proj_in": (width, width, *kernel),
            f"{prefix}.proj_out": (width, width, *kernel),
        }
        for index in range(depth):
            block = f"{prefix}.transformer_blocks.{index}."
            found |= linear(block, ("attn1.to_q", "attn1.to_k", "attn1.to_v"), width, width)
            found |= linear(block, ("attn1.to_out.0", "attn2.to_q", "attn2.to_out.0"), width, width)
            found |= linear(block, ("attn2.to_k", "attn2.to_v"), width, self.context)
            found[f"{block}ff.net.0.proj"] = (8 * width, width)
            found[f"{block}ff.net.2"] = (width, 4 * width)
            found |= {f"{block}norm{number}": (width,) for number in (1, 2, 3)}
        return found

    @classmethod
    def aliases(cls, shapes: Shapes) -> dict[str, Place]:
        blocks = dict(_blocks(shapes))
        names: dict[str, Place] = {}
        for path in shapes:
            foreign = OUTER.get(path) or _inside(path, blocks)
            if foreign:
                names[foreign] = Place(path)
        return names


def _blocks(shapes: Shapes) -> Iterator[tuple[str, str]]:
    """Diffusers' name of each ``input_blocks.N.M`` and the like."""
    level = index = 0
    for block in range(1, _count(shapes, "input_blocks")):
        prefix = f"input_blocks.{block}"
        if f"{prefix}.0.op" in shapes:
            yield f"{prefix}.0.op", f"down_blocks.{level}.downsamplers.0.conv"
            level, index = level + 1, 0
            continue
        yield f"{prefix}.0", f"down_blocks.{level}.resnets.{index}"
        yield f"{prefix}.1", f"down_blocks.{level}.attentions.{index}"
        index += 1
    yield "middle_block.0", "mid_block.resnets.0"
    yield "middle_block.1", "mid_block.attentions.0"
    yield "middle_block.2", "mid_block.resnets.1"
    level = index = 0
    for block in range(_count(shapes, "output_blocks")):
        prefix = f"output_blocks.{block}"
        yield f"{prefix}.0", f"up_blocks.{level}.resnets.{index}"
        yield f"{prefix}.1", f"up_blocks.{level}.attentions.{index}"
        index += 1
        for child in (1, 2):
            if f"{prefix}.{child}.conv" in shapes:
                yield f"{prefix}.{child}.conv", f"up_blocks.{level}.upsamplers.0.conv"
                level, index = level + 1, 0


def _count(shapes: Shapes, group: str) -> int:
    found = (re.match(rf"{group}\.(\d+)\.", path) for path in shapes)
    return max((int(match[1]) + 1 for match in found if match), default=0)


def _inside(path: str, blocks: dict[str, str]) -> str | None:
    if path in blocks:
        return blocks[path]
    match = re.match(r"((?:input|output)_blocks\.\d+\.\d+|middle_block\.\d+)\.(.+)", path)
    if not match or match[1] not in blocks:
        return None
    block, rest = blocks[match[1]], match[2]
    if ".resnets." in block:
        return f"{block}.{RESNET[rest]}" if rest in RESNET else None
    return f"{block}.{rest}"
