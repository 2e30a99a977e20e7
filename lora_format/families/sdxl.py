"""Stable Diffusion XL and everything fine-tuned from it (arXiv 2307.01952)."""

from __future__ import annotations

from ..family import Family

FAMILY = Family(
    name="sdxl",
    title="SDXL",
    host_class="SDXL",
    base_version="sdxl_base_v1-0",
    architecture="stable-diffusion-xl-v1-base/lora",
    key_prefix="lora_unet_",
    # Every Linear inside the transformers: attention, feed-forward and the two projections.
    targets=(
        r"(^|\.)transformer_blocks\.\d+\.(attn[12]\.to_(q|k|v|out\.0)|ff\.net\.(0\.proj|2))$"
        r"|\.proj_(in|out)$"
    ),
    checkpointed=("BasicTransformerBlock", "ResBlock"),
    bucket_step_px=64,
)
