"""Stable Diffusion 1.5 and everything fine-tuned from it (arXiv 2112.10752)."""

from __future__ import annotations

from ..architectures.clip_text import ClipText
from ..architectures.ldm_unet import LdmUnet
from ..family import Family
from ..stored import Layout
from ..targets import ldm_unet
from ..training import Advice

FAMILY = Family(
    name="sd15",
    title="SD 1.5",
    base_version="sd_v1",
    architecture="stable-diffusion-v1/lora",
    network=LdmUnet(
        channels=320, multiples=(1, 2, 4, 4), resnets=2, depths=(1, 1, 1, 0), middle_depth=1,
        context=768, extra=0, linear_projections=False,
    ),
    text_encoders={"clip_l": ClipText(width=768, layers=12)},
    key_prefixes={"unet": "lora_unet_", "clip_l": "lora_te_"},
    stock_forms={
        "unet": (
            "lora_unet_{own_flat}", "diffusion_model.{own}", "lora_unet_{other_flat}",
            "lycoris_{other_flat}", "{processor}", "unet.{processor}",
        ),
        "clip_l": (
            "lora_te_{layer_flat}", "lora_te1_{layer_flat}", "text_encoder.{layer}",
            "text_encoders.clip_l.transformer.{own}",
        ),
    },
    diffusers_prefix="unet.",
    training=ldm_unet.training(
        title="SD 1.5",
        few_steps="an SD 1.5 of few steps (LCM, Hyper, DMD)",
        cfg=7.0,
        host_models=("SD15",),
        advice={
            "style": Advice(rank=32, learning_rate=1e-4, steps=2500, targets="conv"),
            "character": Advice(
                rank=16, learning_rate=1e-4, steps=1500, steps_per_picture=80, targets="linear"
            ),
            "concept": Advice(rank=16, learning_rate=1e-4, steps=2000, targets="linear"),
        },
    ),
    layouts={"clip_l": (Layout("cond_stage_model.transformer."),)},
)
