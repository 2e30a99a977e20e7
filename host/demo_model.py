"""The embedded default: a tiny model of SDXL's shape, so that everything runs at once.

ComfyUI's own classes with small sizes: an SDXL UNet with two text encoders, pooled text and
size conditioning, eps prediction and 4-channel latents at 1/8. The UNet and the VAE were trained
by ``demo/train_vae.py`` and ``demo/train_base.py``; the text encoders are random, frozen, and
made again from a seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import comfy.memory_management
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.sdxl_clip
import comfy.supported_models
import comfy.supported_models_base
import comfy.utils
import torch
from torch import nn

from ..core.attach import Attachment

WEIGHTS = Path(__file__).resolve().parent.parent / "demo" / "weights"
UNET_FILE, VAE_FILE = WEIGHTS / "unet.safetensors", WEIGHTS / "vae.safetensors"
TEXT_SEED = 20261121

CLIP_L_WIDTH, CLIP_G_WIDTH = 96, 160
TIME_IDS_WIDTH = 6 * 256

UNET_CONFIG: dict[str, Any] = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 64,
    "channel_mult": [1, 2, 2],
    "num_res_blocks": [1, 1, 1],
    # As in SDXL, the first level has no transformer.
    "transformer_depth": [0, 1, 1],
    "transformer_depth_output": [0, 0, 1, 1, 1, 1],
    "transformer_depth_middle": 1,
    "num_heads": -1,
    "num_head_channels": 64,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": True,
    "legacy": False,
    "context_dim": CLIP_L_WIDTH + CLIP_G_WIDTH,
    "adm_in_channels": CLIP_G_WIDTH + TIME_IDS_WIDTH,
    "num_classes": "sequential",
    "use_temporal_attention": False,
}
VAE_CONFIG: dict[str, Any] = {
    "embed_dim": 4,
    "ddconfig": {
        "double_z": True,
        "z_channels": 4,
        "resolution": 128,
        "in_channels": 3,
        "out_ch": 3,
        "ch": 32,
        "ch_mult": [1, 1, 2, 2],
        "num_res_blocks": 1,
        "attn_resolutions": [],
        "dropout": 0.0,
    },
}


def load_demo_model() -> tuple[comfy.model_patcher.ModelPatcher, comfy.sd.CLIP, comfy.sd.VAE]:
    """Return MODEL, CLIP and VAE as the stock checkpoint loader would."""
    clip, vae = _make_clip(), _make_vae()
    clip.patcher.cached_patcher_init = (load_clip_patcher, ())
    vae.patcher.cached_patcher_init = (load_vae_patcher, ())
    return load_unet_patcher(), clip, vae


def load_unet_patcher(disable_dynamic: bool = False) -> comfy.model_patcher.ModelPatcher:
    """Load the UNet from its file; also the factory by which core nodes reload it."""
    weights = comfy.utils.load_torch_file(str(UNET_FILE), safe_load=True)
    config = make_unet_config(weights)
    model = config.get_model(weights, "")
    patcher = _patcher_class(disable_dynamic)(
        model,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
    model.to(patcher.offload_device)
    model.load_model_weights(weights, "", assign=patcher.is_dynamic())
    patcher.cached_patcher_init = (load_unet_patcher, ())
    return patcher


def load_clip_patcher(disable_dynamic: bool = False) -> comfy.model_patcher.ModelPatcher:
    """Make the text encoders again; the factory by which core nodes reload them."""
    patcher = _make_clip(disable_dynamic=disable_dynamic).patcher
    patcher.cached_patcher_init = (load_clip_patcher, ())
    return patcher


def load_vae_patcher(disable_dynamic: bool = False) -> comfy.model_patcher.ModelPatcher:
    """Load the VAE from its file; the factory by which core nodes reload it."""
    patcher = _make_vae().patcher
    patcher.cached_patcher_init = (load_vae_patcher, ())
    return patcher


def make_unet_config(weights: dict[str, torch.Tensor]) -> comfy.supported_models.SDXL:
    """SDXL's model description with small sizes and the dtype that core would choose."""
    config = comfy.supported_models.SDXL(dict(UNET_CONFIG))
    device = comfy.model_management.get_torch_device()
    supported = list(config.supported_inference_dtypes)
    dtype = comfy.model_management.unet_dtype(
        model_params=comfy.utils.calculate_parameters(weights),
        supported_dtypes=supported,
        weight_dtype=comfy.utils.weight_dtype(weights),
    )
    cast = comfy.model_management.unet_manual_cast(dtype, device, supported)
    config.set_inference_dtype(dtype, cast)
    return config


def _patcher_class(disable_dynamic: bool) -> type[comfy.model_patcher.ModelPatcher]:
    if disable_dynamic:
        return comfy.model_patcher.ModelPatcher
    return getattr(
        comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher
    )


def _make_vae() -> comfy.sd.VAE:
    weights = comfy.utils.load_torch_file(str(VAE_FILE), safe_load=True)
    return comfy.sd.VAE(sd=weights, config={"params": VAE_CONFIG})


def _make_clip(disable_dynamic: bool = False) -> comfy.sd.CLIP:
    target = comfy.supported_models_base.ClipTarget(
        comfy.sdxl_clip.SDXLTokenizer, comfy.sdxl_clip.SDXLClipModel
    )
    options = {
        "clip_l_model_config": _text_config(CLIP_L_WIDTH, heads=4, activation="quick_gelu"),
        "clip_g_model_config": _text_config(CLIP_G_WIDTH, heads=5, activation="gelu"),
    }
    extra = {"disable_dynamic": True} if disable_dynamic else {}
    # No random numbers are spent on weights that are overwritten at once.
    with _weights_at_once():
        clip = comfy.sd.CLIP(target, model_options=options, **extra)
    with torch.no_grad():
        _fill(clip.cond_stage_model)
    return clip


@contextmanager
def _weights_at_once() -> Iterator[None]:
    """Make layers with their weights.

    Where the host manages memory dynamically (its default on NVIDIA cards), it leaves layers empty
    until a state dict is loaded, and these encoders never load one.
    """
    with Attachment() as attachment:
        if hasattr(comfy.memory_management, "aimdo_enabled"):
            attachment.set_attribute(comfy.memory_management, "aimdo_enabled", False)
        yield


def _text_config(width: int, *, heads: int, activation: str) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "projection_dim": width,
        "intermediate_size": 2 * width,
        "num_attention_heads": heads,
        "num_hidden_layers": 3,
        "hidden_act": activation,
    }


def _fill(model: nn.Module) -> None:
    """Give every tensor of the text encoders its value from the seed.

    Drawn on the CPU in fp32, name by name, so that it is the same on every platform. Token
    vectors dominate, positions are faint, and attention averages over what came before: words
    stay far apart, and the pooled vector knows all words of the prompt.
    """
    for index, (name, tensor) in enumerate(sorted(model.named_parameters())):
        generator = torch.Generator(device="cpu").manual_seed(TEXT_SEED + index)
        values = _initial(name, tensor.shape, generator)
        tensor.copy_(values.to(device=tensor.device, dtype=tensor.dtype))


def _initial(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    if name.endswith("logit_scale"):
        return torch.full(shape, 4.6055)
    if name.endswith("bias"):
        return torch.zeros(shape)
    if "layer_norm" in name:
        return torch.ones(shape)
    values = torch.randn(shape, generator=generator)
    if "position_embedding" in name:
        return values * 0.1
    if "token_embedding" in name:
        return values * 0.7
    return values / math.sqrt(shape[-1])
