"""diffusers, of every era; one file may mix them.

- until 0.21: ``unet.….attn1.processor.to_q_lora.up.weight``
- then: ``unet.….attn1.to_q.lora.up.weight`` for attention, ``.lora_A.weight`` for the rest
- text encoders: ``text_encoder_2.….q_proj.lora_linear_layer.up.weight``, later ``.lora_A.weight``
- transformers: ``transformer.layers.0.attention.to_q.lora_A.weight``

There is no alpha but in the metadata (``lora_adapter_metadata``); without it, alpha is the rank.
"""

from __future__ import annotations

from ..foreign import write_diffusers
from ..format import Format, Prefix, Suffix

FORMAT = Format(
    name="diffusers",
    title="diffusers",
    example="unet.down_blocks.1.attentions.0.proj_in.lora_A.weight",
    signature=(
        r"^(unet\.)?(down_blocks|mid_block|up_blocks)\..*(_lora\.(up|down)|\.lora\.(up|down)|"
        r"\.lora_[AB])(\.weight)?$|^unet\..*\.lora_[AB]\.weight$"
        r"|^text_encoder(_\d)?\..*lora|^transformer\..*\.lora(_[AB]|\.(up|down))\.weight$"
    ),
    without=r"base_model\.model\.|\.lora_[AB]\.[^.]+\.weight$",
    prefixes=(
        Prefix("unet.", "unet"),
        Prefix("transformer.", "unet"),
        Prefix("text_encoder.", "1"),
        Prefix("text_encoder_2.", "2"),
        Prefix("text_encoder_3.", "3"),
        Prefix("", "unet"),
    ),
    suffixes=(
        Suffix(r"_lora\.up\.weight", "lora_up"),
        Suffix(r"_lora\.down\.weight", "lora_down"),
        Suffix(r"_lora\.alpha", "alpha"),
        Suffix(r"\.lora\.up\.weight", "lora_up"),
        Suffix(r"\.lora\.down\.weight", "lora_down"),
        Suffix(r"\.lora_linear_layer\.up\.weight", "lora_up"),
        Suffix(r"\.lora_linear_layer\.down\.weight", "lora_down"),
    ),
    write=write_diffusers,
)
