"""ComfyUI's own models of every family on the meta device: all names and shapes, and no memory.

Import only after ComfyUI is importable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import comfy.lora
import comfy.lora_convert
import comfy.model_base
import comfy.ops
import comfy.sd1_clip
import comfy.sdxl_clip
import comfy.supported_models
import comfy.text_encoders.flux
import comfy.text_encoders.lumina2
import comfy.text_encoders.z_image
import torch
from torch import nn

UNET: dict[str, Any] = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
    "use_spatial_transformer": True,
    "use_temporal_attention": False,
    "use_temporal_resblock": False,
    "legacy": False,
}
LUMINA: dict[str, Any] = {
    "image_model": "lumina2",
    "patch_size": 2,
    "in_channels": 16,
    "qk_norm": True,
}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "sdxl": (
        "SDXL",
        {
            **UNET,
            "num_res_blocks": [2, 2, 2],
            "channel_mult": [1, 2, 4],
            "transformer_depth": [0, 0, 2, 2, 10, 10],
            "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
            "transformer_depth_middle": 10,
            "use_linear_in_transformer": True,
            "context_dim": 2048,
            "adm_in_channels": 2816,
            "num_classes": "sequential",
            "num_head_channels": 64,
            "num_heads": -1,
        },
    ),
    "sd15": (
        "SD15",
        {
            **UNET,
            "num_res_blocks": [2, 2, 2, 2],
            "channel_mult": [1, 2, 4, 4],
            "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
            "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
            "transformer_depth_middle": 1,
            "use_linear_in_transformer": False,
            "context_dim": 768,
            "adm_in_channels": None,
            "num_head_channels": -1,
            "num_heads": 8,
        },
    ),
    "z_image": (
        "ZImage",
        {
            **LUMINA,
            "dim": 3840,
            "cap_feat_dim": 2560,
            "n_layers": 30,
            "n_heads": 30,
            "n_kv_heads": 30,
            "z_image_modulation": True,
            "axes_dims": [32, 48, 48],
            "axes_lens": [1536, 512, 512],
            "rope_theta": 256.0,
            "ffn_dim_multiplier": 8.0 / 3.0,
            "time_scale": 1000.0,
            "pad_tokens_multiple": 32,
        },
    ),
    "lumina2": (
        "Lumina2",
        {
            **LUMINA,
            "dim": 2304,
            "cap_feat_dim": 2304,
            "n_layers": 26,
            "n_heads": 24,
            "n_kv_heads": 8,
            "axes_dims": [32, 32, 32],
            "axes_lens": [300, 512, 512],
            "rope_theta": 10000.0,
            "ffn_dim_multiplier": 4.0,
        },
    ),
    "flux1": (
        "Flux",
        {
            "image_model": "flux",
            "in_channels": 16,
            "out_channels": 16,
            "patch_size": 2,
            "vec_in_dim": 768,
            "context_in_dim": 4096,
            "hidden_size": 3072,
            "mlp_ratio": 4.0,
            "num_heads": 24,
            "depth": 19,
            "depth_single_blocks": 38,
            "axes_dim": [16, 56, 56],
            "theta": 10000,
            "txt_ids_dims": [],
            "qkv_bias": True,
            "guidance_embed": True,
        },
    ),
}


def make_model(
    family: str, *, device: str = "meta", **changes: Any
) -> comfy.model_base.BaseModel:
    """The family's model.

    Args:
        family: its name.
        device: where its weights are; random ones, if anywhere.
        changes: what is not as published, in ComfyUI's words.
    """
    kind, config = CONFIGS[family]
    description = getattr(comfy.supported_models, kind)({**config, **changes})
    description.custom_operations = comfy.ops.disable_weight_init
    description.unet_config.setdefault("dtype", torch.float32)
    with torch.device(device):
        model = description.get_model({}, "", device=torch.device(device))
    if device != "meta":
        generator = torch.Generator().manual_seed(2)
        for tensor in model.parameters():
            tensor.data.normal_(0, 0.2, generator=generator)
    return model.requires_grad_(False)


def make_clip(family: str) -> nn.Module:
    """The family's text encoders as the loader sees them."""
    made = {
        "sdxl": lambda: comfy.sdxl_clip.SDXLClipModel,
        "sd15": lambda: comfy.sd1_clip.SD1ClipModel,
        "z_image": comfy.text_encoders.z_image.te,
        "lumina2": comfy.text_encoders.lumina2.te,
        "flux1": comfy.text_encoders.flux.flux_clip,
    }[family]()
    with torch.device("meta"):
        clip: nn.Module = made(device="meta", dtype=torch.float16)
    return clip


def names_read(models: Iterable[nn.Module]) -> dict[str, Any]:
    """The stock loader's own map of names, for networks and text encoders together."""
    found: dict[str, Any] = {}
    for model in models:
        if isinstance(model, comfy.model_base.BaseModel):
            found = comfy.lora.model_lora_keys_unet(model, found)
        else:
            found = comfy.lora.model_lora_keys_clip(model, found)
    return found


def load(tensors: Mapping[str, torch.Tensor], names: Mapping[str, Any]) -> dict[Any, Any]:
    """What the stock loader makes of a file; it logs the keys that it passes over."""
    return comfy.lora.load_lora(comfy.lora_convert.convert_lora(dict(tensors)), dict(names))


def one_of_each(
    patches: Mapping[Any, Any], weights: Mapping[str, torch.Tensor]
) -> dict[Any, Any]:
    """One patch of each combination of shapes; whether the others fit is the same question."""
    found: dict[Any, Any] = {}
    for place, patch in patches.items():
        key = place if isinstance(place, str) else place[0]
        parts = patch[1] if isinstance(patch, tuple) else patch.weights
        shapes = tuple(getattr(part, "shape", part is None) for part in parts)
        rows = None if isinstance(place, str) else place[1]
        found.setdefault((weights[key].shape, rows, type(patch), shapes), (place, patch))
    return dict(found.values())


def apply(
    patches: Mapping[Any, Any],
    weights: Mapping[str, torch.Tensor],
    exact: torch.dtype = torch.float64,
    strength: float = 1.0,
) -> dict[str, torch.Tensor]:
    """Weights with patches, as the model patcher computes them.

    Args:
        patches: from :func:`load`.
        weights: by the model's own names; those that are patched must be there.
        exact: the dtype to compute in.
        strength: of the loader.
    """
    grouped: dict[str, list[Any]] = {}
    for place, patch in patches.items():
        key, offset, function = place, None, None
        if not isinstance(place, str):
            key, offset, function = (*place, None)[:3]
        grouped.setdefault(key, []).append((strength, patch, 1.0, offset, function))
    return {
        key: comfy.lora.calculate_weight(
            found, weights[key].clone(), key, intermediate_dtype=exact
        )
        for key, found in grouped.items()
    }
