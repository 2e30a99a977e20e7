"""Z-Image and Z-Image Turbo (arXiv 2511.22699)."""

from __future__ import annotations

from ..architectures.decoder_text import DecoderText
from ..architectures.lumina import Lumina
from ..family import Family
from ..targets import lumina
from ..training import Levels, Preview, Variant
from ..versions import Since

FAMILY = Family(
    name="z_image",
    title="Z-Image",
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
    read_since=(
        # Pull requests 10978 and 10980, both of 29 November 2025.
        Since(
            version=(0, 3, 76), what="diffusers' names of Z-Image's layers",
            keys=r"^(transformer\.|lycoris_)|^diffusion_model\..*\.attention\.(to_|norm_[qk])",
        ),
        # Pull request 11805 of January 2026, after 0.8.2.
        Since(
            version=(0, 9, 0), what="names without a prefix for Z-Image",
            keys=r"^(layers|noise_refiner|context_refiner)\.", or_convert=True,
        ),
    ),
    training=lumina.training(
        host_model="ZImage",
        variants={
            "base": Variant(
                title="Z-Image",
                levels=Levels(
                    density="logit_normal", shift="resolution",
                    reason="the model was trained on these levels: logit-normal, shifted towards "
                    "noise with the number of picture tokens (arXiv 2511.22699)",
                ),
                preview=Preview(scheduler="simple", steps=25, cfg=4.0),
            ),
            "distilled": Variant(
                title="Z-Image Turbo",
                levels=Levels(
                    density="uniform", shift="static", shift_value=3.0,
                    reason="Turbo draws at eight levels that are even under a shift of 3, so "
                    "training asks at the levels at which it will be asked",
                ),
                preview=Preview(sampler="res_multistep", scheduler="simple", steps=8, cfg=1.0),
                warning="Z-Image Turbo is distilled to eight steps, and training it without a "
                "training adapter undoes that: pictures turn blurred after some hundred steps. "
                "Choose the adapter that is published for it in training_adapter, or train on "
                "Z-Image itself or on a de-distilled Turbo; see docs/z_image.md.",
                adapter_helps=True,
            ),
            "dedistilled": Variant(
                title="Z-Image Turbo, de-distilled",
                levels=Levels(
                    density="logit_normal", shift="static", shift_value=3.0,
                    reason="it is Turbo made trainable again, and drawn under Turbo's shift of 3",
                ),
                preview=Preview(scheduler="simple", steps=20, cfg=3.0),
            ),
        },
    ),
)
