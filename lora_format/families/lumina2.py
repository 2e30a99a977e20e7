"""Lumina Image 2.0 and everything fine-tuned from it (arXiv 2503.21758)."""

from __future__ import annotations

from ..architectures.decoder_text import DecoderText
from ..architectures.lumina import Lumina
from ..family import Family
from ..targets import lumina
from ..training import Levels, Preview, Variant

FAMILY = Family(
    name="lumina2",
    title="Lumina 2",
    base_version="lumina2",
    architecture="lumina-2/lora",
    network=Lumina(
        width=2304, layers=26, key_width=768, hidden=9216, head_width=96, caption_width=2304,
        modulation_width=1024, modulation_index=1, timestep_hidden=1024,
    ),
    text_encoders={
        "gemma2_2b": DecoderText(width=2304, layers=26, query=2048, key=1024, hidden=9216)
    },
    # The stock loader takes q, k and v for equal thirds, which they are not here: fused only.
    key_prefixes={"unet": "lora_unet_", "gemma2_2b": "text_encoders.gemma2_2b.transformer."},
    stock_forms={
        "unet": ("lora_unet_{own_flat}", "diffusion_model.{own}"),
        "gemma2_2b": (
            "text_encoders.gemma2_2b.transformer.{own}", "text_encoders.transformer.{own}",
            "lora_te_{other_flat}",
        ),
    },
    diffusers_prefix="transformer.",
    training=lumina.training(
        host_model="Lumina2",
        variants={
            "base": Variant(
                title="Lumina 2",
                levels=Levels(
                    density="logit_normal", shift="resolution",
                    reason="levels around the middle teach most (arXiv 2403.03206), and larger "
                    "pictures need more noise",
                ),
                preview=Preview(scheduler="simple", steps=25, cfg=4.0),
            ),
        },
    ),
)
