"""Distilled LoRAs (VideoX-Fun, Z-Image Fun) with an empty name between two underscores.
"""

from __future__ import annotations

from ..format import Format, Prefix

FORMAT = Format(
    name="double_underscore",
    title="VideoX-Fun distillation",
    example="lora_unet__layers_0_attention_to_k.lora_down.weight",
    signature=r"^lora_unet__",
    prefixes=(Prefix("lora_unet__", "unet"),),
)
