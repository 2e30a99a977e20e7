"""Kohya's spelling with diffusers' block names: ai-toolkit for SDXL, OneTrainer, sliders, mergers.
"""

from __future__ import annotations

from ..format import Format

FORMAT = Format(
    name="kohya_diffusers",
    title="Kohya with diffusers' block names",
    example="lora_unet_down_blocks_1_attentions_0_proj_in.lora_down.weight",
    signature=r"^lora_unet_(down_blocks|mid_block|up_blocks)",
    without=r"\.(hada_|lokr_|oft_|lora_mid|[wb]_norm)",
)
