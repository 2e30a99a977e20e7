"""SimpleTuner's early ComfyUI output: ComfyUI's prefix before diffusers' names.

Its other output is diffusers'; the tool says so in the metadata only.
"""

from __future__ import annotations

from ..format import Format

FORMAT = Format(
    name="simpletuner",
    title="SimpleTuner (early ComfyUI output)",
    example="diffusion_model.down_blocks.1.attentions.0.proj_in.lora_A.weight",
    signature=r"^diffusion_model\.(down_blocks|mid_block|up_blocks)\.",
)
