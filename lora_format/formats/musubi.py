"""musubi-tuner: Kohya's spelling for Z-Image with split q, k and v.
"""

from __future__ import annotations

from ..format import Format

FORMAT = Format(
    name="musubi",
    title="musubi-tuner",
    example="lora_unet_layers_0_attention_to_q.lora_down.weight",
    signature=r"^lora_unet_.*_attention_to_(q|k|v|out_0)\.",
    without=r"^lora_unet__|\.(hada_|lokr_|oft_)",
)
