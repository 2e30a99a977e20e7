"""Flux.1 dev and schnell (Black Forest Labs, 2024)."""

from __future__ import annotations

from ..architectures.clip_text import ClipText
from ..architectures.flux import Flux
from ..architectures.t5_text import T5Text
from ..family import Family
from ..targets import flux
from ..training import Advice, Levels, Preview, Training, Variant

FAMILY = Family(
    name="flux1",
    title="Flux.1",
    base_version="flux1",
    architecture="flux-1-dev/lora",
    network=Flux(
        width=3072, doubles=19, singles=38, context=4096, pooled=768, guidance=True
    ),
    text_encoders={
        "clip_l": ClipText(width=768, layers=12),
        "t5xxl": T5Text(width=4096, layers=24, hidden=10240),
    },
    key_prefixes={"unet": "lora_unet_", "clip_l": "lora_te1_", "t5xxl": "lora_te2_"},
    stock_forms={
        "unet": (
            "lora_unet_{own_flat}", "diffusion_model.{own}",
            "transformer.{other}", "lycoris_{other_flat}",
            "lora_transformer_{other_flat}", "{other}",
        ),
        "clip_l": (
            "lora_te1_{layer_flat}", "lora_te_{layer_flat}", "text_encoder.{layer}",
            "text_encoders.clip_l.transformer.{own}",
        ),
        "t5xxl": (
            "lora_te2_{own_flat}", "lora_te3_{own_flat}",
            "text_encoders.t5xxl.transformer.{own}", "text_encoders.transformer.{own}",
        ),
    },
    part_prefix="transformer.",
    diffusers_prefix="transformer.",
    training=Training(
        network_class="Flux",
        host_models=("Flux", "FluxSchnell"),
        presets=flux.PRESETS,
        preset="attention_ff",
        blocks=flux.BLOCKS,
        checkpointed=("DoubleStreamBlock", "SingleStreamBlock"),
        in_place_blocks=("DoubleStreamBlock", "SingleStreamBlock"),
        bucket_step_px=16,
        variants={
            "base": Variant(
                title="Flux.1 dev",
                levels=Levels(
                    density="logit_normal", shift="resolution",
                    reason="the levels of rectified flow transformers (arXiv 2403.03206), shifted "
                    "as the model's own sampler shifts them",
                ),
                preview=Preview(scheduler="simple", steps=20, cfg=1.0),
                guidance=1.0,
            ),
            "distilled": Variant(
                title="Flux.1 schnell",
                levels=Levels(
                    density="uniform", reason="schnell draws at four even levels without a shift",
                ),
                preview=Preview(scheduler="simple", steps=4, cfg=1.0),
                warning="Flux.1 schnell is distilled to four steps, and training it undoes that. "
                "Train on Flux.1 dev; the LoRA works on both.",
            ),
        },
        advice={
            "style": Advice(rank=16, learning_rate=1e-4, steps=2000, targets="attention_ff"),
            "character": Advice(
                rank=16, learning_rate=1e-4, steps=1500, steps_per_picture=100,
                targets="attention_ff",
            ),
            "concept": Advice(rank=32, learning_rate=1e-4, steps=2500, targets="linear"),
        },
    ),
)
