"""Z-Image and Z-Image Turbo (arXiv 2511.22699)."""

from __future__ import annotations

from ..architectures.decoder_text import DecoderText
from ..architectures.lumina import Lumina
from ..family import Family

FAMILY = Family(
    name="z_image",
    title="Z-Image",
    host_class="ZImage",
    base_version="z_image",
    architecture="z-image/lora",
    network=Lumina(
        width=3840, layers=30, key_width=3840, hidden=10240, head_width=128, caption_width=2560,
        modulation_width=256, modulation_index=0, timestep_hidden=1024,
    ),
    text_encoders={
        "qwen3_4b": DecoderText(width=2560, layers=36, query=4096, key=1024, hidden=9728)
    },
    key_prefixes={"unet": "diffusion_model.", "qwen3_4b": "text_encoders.qwen3_4b.transformer."},
    stock_forms={
        "unet": (
            "lora_unet_{own_flat}", "diffusion_model.{own}",
            "diffusion_model.{other}", "transformer.{other}",
            "lycoris_{other_flat}", "{other}",
        ),
        "qwen3_4b": (
            "text_encoders.qwen3_4b.transformer.{own}", "text_encoders.transformer.{own}",
            "lora_te_{other_flat}",
        ),
    },
    part_prefix="diffusion_model.",
    diffusers_prefix="transformer.",
)
