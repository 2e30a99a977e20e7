"""Random models of the other families that are trained, and of some that are not.

ComfyUI's own classes with small sizes, as in ``tiny_zimage``. Import only after ComfyUI is
importable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.model_patcher
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
import comfy.supported_models_base
import comfy.text_encoders.flux

from lora_kiln.host import demo_model
from lora_kiln.tests.host import tiny_sdxl, tiny_zimage

CLIP_WIDTH, T5_WIDTH = 32, 48
SD15_CONFIG: dict[str, Any] = {
    **tiny_sdxl.CONFIG,
    "use_linear_in_transformer": False,
    "context_dim": CLIP_WIDTH,
    "adm_in_channels": None,
    "num_classes": None,
    # Twice the number of groups of a norm: what is added to a group of one channel is gone.
    "model_channels": 64,
    "channel_mult": [1, 1, 1, 1],
    "num_res_blocks": [2, 2, 2, 2],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
}
LUMINA_CONFIG: dict[str, Any] = {
    **tiny_zimage.CONFIG,
    "dim": 48,
    "n_heads": 4,
    "n_kv_heads": 2,
    "axes_dims": [4, 4, 4],
    "rope_theta": 10000.0,
    "z_image_modulation": False,
    "time_scale": 1.0,
    "pad_tokens_multiple": None,
}
FLUX_CONFIG: dict[str, Any] = {
    "image_model": "flux",
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "vec_in_dim": CLIP_WIDTH,
    "context_in_dim": T5_WIDTH,
    "hidden_size": 64,
    "num_heads": 4,
    "mlp_ratio": 4.0,
    "axes_dim": [4, 6, 6],
    "theta": 10000,
    "depth": 2,
    "depth_single_blocks": 2,
    "qkv_bias": True,
    "guidance_embed": True,
    "txt_ids_dims": [],
}
CHROMA_CONFIG: dict[str, Any] = {
    **{key: value for key, value in FLUX_CONFIG.items() if key != "guidance_embed"},
    "txt_ids_dims": [],
    "vec_in_dim": None,
    "in_dim": 8,
    "out_dim": 64,
    "hidden_dim": 16,
    "n_layers": 1,
}
T5_CONFIG = {"d_ff": 64, "d_kv": 8, "d_model": T5_WIDTH, "num_heads": 4, "num_layers": 2}


def make_sd15() -> comfy.model_patcher.ModelPatcher:
    """An SD 1.5."""
    return tiny_zimage.patcher_of(comfy.supported_models.SD15(dict(SD15_CONFIG)))


def make_sd15_clip() -> comfy.sd.CLIP:
    """One small CLIP-L."""
    target = comfy.supported_models_base.ClipTarget(
        comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel
    )
    return tiny_zimage.clip_of(target, {"clip_l_model_config": _clip_config()})


def make_lumina2() -> comfy.model_patcher.ModelPatcher:
    """A Lumina 2, to go with Z-Image's tiny text encoder: Gemma's tokenizer lies in its file."""
    return tiny_zimage.patcher_of(comfy.supported_models.Lumina2(dict(LUMINA_CONFIG)))


def make_flux1(*, schnell: bool = False) -> comfy.model_patcher.ModelPatcher:
    """A Flux.1."""
    kind = comfy.supported_models.FluxSchnell if schnell else comfy.supported_models.Flux
    return tiny_zimage.patcher_of(kind({**FLUX_CONFIG, "guidance_embed": not schnell}))


def make_flux1_clip() -> comfy.sd.CLIP:
    """A small CLIP-L and a small T5."""
    target = comfy.supported_models_base.ClipTarget(
        comfy.text_encoders.flux.FluxTokenizer, comfy.text_encoders.flux.flux_clip()
    )
    return tiny_zimage.clip_of(
        target, {"clip_l_model_config": _clip_config(), "t5xxl_model_config": dict(T5_CONFIG)}
    )


def _clip_config() -> dict[str, Any]:
    return demo_model._text_config(CLIP_WIDTH, heads=4, activation="quick_gelu")


def _of(kind: str, config: dict[str, Any]) -> Callable[[], comfy.model_patcher.ModelPatcher]:
    return lambda: tiny_zimage.patcher_of(getattr(comfy.supported_models, kind)(dict(config)))


STRANGERS: dict[str, Callable[[], comfy.model_patcher.ModelPatcher]] = {
    "SDXLRefiner": _of("SDXLRefiner", tiny_sdxl.CONFIG),
    "SD20": _of(
        "SD20",
        {
            **SD15_CONFIG, "use_linear_in_transformer": True, "num_heads": -1,
            "num_head_channels": 16,
        },
    ),
    "SDXL_instructpix2pix": _of("SDXL_instructpix2pix", {**tiny_sdxl.CONFIG, "in_channels": 8}),
    "FluxInpaint": _of("FluxInpaint", {**FLUX_CONFIG, "in_channels": 96}),
    "Chroma": _of("Chroma", CHROMA_CONFIG),
    "Flux2": _of(
        "Flux2",
        {
            **FLUX_CONFIG, "in_channels": 128, "out_channels": 128, "patch_size": 1,
            "axes_dim": [4, 4, 4, 4], "vec_in_dim": None, "global_modulation": True,
            "mlp_silu_act": True, "ops_bias": False, "qkv_bias": False, "txt_ids_dims": [3],
        },
    ),
    "ZImagePixelSpace": _of(
        "ZImagePixelSpace",
        {**tiny_zimage.CONFIG, "in_channels": 3, "decoder_hidden_size": 32},
    ),
}
"""Models with much the same modules, which are not trained."""
