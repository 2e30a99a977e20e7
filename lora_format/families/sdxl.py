"""Stable Diffusion XL and everything fine-tuned from it (arXiv 2307.01952)."""

from __future__ import annotations

from ..architectures.clip_text import ClipText
from ..architectures.ldm_unet import LdmUnet
from ..family import Family
from ..open_clip import LAYOUT as OPEN_CLIP
from ..stored import Layout
from ..targets import ldm_unet
from ..training import Advice

FAMILY = Family(
    name="sdxl",
    title="SDXL",
    base_version="sdxl_base_v1-0",
    architecture="stable-diffusion-xl-v1-base/lora",
    network=LdmUnet(
        channels=320, multiples=(1, 2, 4), resnets=2, depths=(0, 2, 10), middle_depth=10,
        context=2048, extra=2816, linear_projections=True,
    ),
    text_encoders={
        "clip_l": ClipText(width=768, layers=12),
        "clip_g": ClipText(width=1280, layers=32, projection=1280),
    },
    key_prefixes={"unet": "lora_unet_", "clip_l": "lora_te1_", "clip_g": "lora_te2_"},
    stock_forms={
        "unet": (
            "lora_unet_{own_flat}", "diffusion_model.{own}", "lora_unet_{other_flat}",
            "lycoris_{other_flat}", "{processor}", "unet.{processor}",
        ),
        "clip_l": (
            "lora_te1_{layer_flat}", "lora_te_{layer_flat}", "text_encoder.{layer}",
            "text_encoders.clip_l.transformer.{own}",
        ),
        "clip_g": (
            "lora_te2_{layer_flat}", "lora_te2_{head_flat}", "text_encoder_2.{layer}",
            "text_encoders.clip_g.transformer.{own}",
        ),
    },
    diffusers_prefix="unet.",
    layouts={
        "clip_l": (Layout("conditioner.embedders.0.transformer."),), "clip_g": (OPEN_CLIP,),
    },
    training=ldm_unet.training(
        title="SDXL",
        few_steps="SDXL Turbo, Lightning, Hyper, DMD or LCM",
        cfg=5.0,
        host_models=("SDXL", "SSD1B", "Segmind_Vega", "KOALA_700M", "KOALA_1B"),
        advice={
            "style": Advice(rank=32, learning_rate=1e-4, steps=2500, targets="conv"),
            "character": Advice(
                rank=16, learning_rate=1e-4, steps=1500, steps_per_picture=80, targets="linear"
            ),
            "concept": Advice(rank=32, learning_rate=7e-5, steps=2500, targets="linear"),
        },
    ),
)
