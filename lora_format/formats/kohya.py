"""Kohya sd-scripts with latent-diffusion's block names: what ComfyUI's stock loader reads whole.

Each module has a down factor, an up factor and an alpha of its own. This is also what we write for
ComfyUI, with the prefixes that the stock loader wants for the family.
"""

from __future__ import annotations

from ..format import Format, Prefix, Suffix
from ..stock import write_stock

FORMAT = Format(
    name="kohya",
    title="Kohya sd-scripts",
    example="lora_unet_input_blocks_4_1_proj_in.lora_down.weight",
    signature=(
        r"^lora_(te\d?_|unet_(input_blocks|middle_block|output_blocks|time_embed|label_emb|out_2|"
        r"double_blocks|single_blocks|layers_\d+_(attention_(qkv|out)|feed_forward|adaLN)))"
    ),
    without=r"^lora_transformer_|^lora_unet_(_|down_blocks|mid_block|up_blocks)|_attention_to_[qkvo]"
    r"|\.(hada_|lokr_|oft_|lora_mid|[wb]_norm)|^(transformer|diffusion_model)\.",
    prefixes=(
        Prefix("lora_unet_", "unet"),
        Prefix("lora_te_", "1"),
        Prefix("lora_te1_", "1"),
        Prefix("lora_te2_", "2"),
        Prefix("lora_te3_", "3"),
        # With dots behind them, as in the file of ComfyUI's issue 4439.
        Prefix("lora_te.", "1"),
        Prefix("lora_te1.", "1"),
        Prefix("lora_te2.", "2"),
        Prefix("lora_te3.", "3"),
    ),
    suffixes=(
        Suffix(r"\.lora_down\.weight", "lora_down"),
        Suffix(r"\.lora_up\.weight", "lora_up"),
        Suffix(r"\.alpha", "alpha"),
        Suffix(r"\.dora_scale", "dora_scale"),
    ),
    write=write_stock,
)
