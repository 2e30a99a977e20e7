"""OneTrainer's legacy files for transformers: ``lora_transformer_`` and diffusers' names, flat.

For SDXL it writes Kohya's spelling with diffusers' block names.
"""

from __future__ import annotations

from ..format import Format, Prefix

FORMAT = Format(
    name="onetrainer",
    title="OneTrainer (legacy)",
    example="lora_transformer_transformer_blocks_0_attn_to_q.lora_down.weight",
    signature=r"^lora_transformer_|^transformer\..*\.lora_down\.weight$",
    prefixes=(Prefix("lora_transformer_", "unet"),),
)
