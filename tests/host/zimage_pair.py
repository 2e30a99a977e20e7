"""ComfyUI's NextDiT in Z-Image's layout, and diffusers' transformer with the same weights.

Import only after ComfyUI is importable.
"""

from __future__ import annotations

import re
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.supported_models
import torch
from diffusers import ZImageTransformer2DModel
from diffusers.models.transformers.transformer_z_image import TimestepEmbedder

from lora_kiln.host.base import module_shapes
from lora_kiln.lora_format.architectures.lumina import Lumina
from lora_kiln.lora_format.ir import Target
from lora_kiln.lora_format.table import Network, network
from lora_kiln.tests.host import tiny_sdxl

WIDTH, HEADS, CAPTION_WIDTH, CHANNELS = 384, 8, 40, 16
"""A third of 384 is whole, so both make feed-forward layers of the same width."""
AXES, LAYERS, REFINERS = [16, 16, 16], 2, 1
CONFIG: dict[str, Any] = {
    "image_model": "lumina2",
    "patch_size": 2,
    "in_channels": CHANNELS,
    "dim": WIDTH,
    "cap_feat_dim": CAPTION_WIDTH,
    "n_layers": LAYERS,
    "n_refiner_layers": REFINERS,
    "qk_norm": True,
    "n_heads": HEADS,
    "n_kv_heads": HEADS,
    "axes_dims": AXES,
    "axes_lens": [512, 64, 64],
    "rope_theta": 256.0,
    "ffn_dim_multiplier": 8.0 / 3.0,
    "z_image_modulation": True,
    "time_scale": 1000.0,
    "pad_tokens_multiple": 32,
}
"""As ``comfy.model_detection`` fills it in for Z-Image, but for the sizes."""


def make_model() -> comfy.model_patcher.ModelPatcher:
    """A MODEL with random weights, made as nodes make theirs: under inference mode."""
    description = comfy.supported_models.ZImage(dict(CONFIG))
    description.set_inference_dtype(torch.float32, None)
    with torch.inference_mode():
        model = description.get_model({}, "")
        tiny_sdxl._fill(model.diffusion_model)
        return comfy.model_patcher.ModelPatcher(
            model,
            load_device=comfy.model_management.get_torch_device(),
            offload_device=comfy.model_management.unet_offload_device(),
        )


def table(model: Any) -> Network:
    """The modules of a MODEL with diffusers' names."""
    return network("unet", Lumina, module_shapes(model.model.diffusion_model))


def targets(model: Any, module_path: str) -> list[tuple[str, Target]]:
    """Diffusers' names of a module: one, or those of the parts of a fused one."""
    own = table(model)
    whole = own.foreign(Target("unet", module_path))
    return own.parts(module_path) if whole is None else [(whole, Target("unet", module_path))]


def make_twin(model: Any) -> Any:
    """Diffusers' network with the weights of a MODEL."""
    twin: Any = ZImageTransformer2DModel(
        in_channels=CHANNELS, dim=WIDTH, n_layers=LAYERS, n_refiner_layers=REFINERS,
        n_heads=HEADS, n_kv_heads=HEADS, cap_feat_dim=CAPTION_WIDTH, axes_dims=AXES,
        axes_lens=CONFIG["axes_lens"],
    )
    # 1024 inside at the real size in both; ComfyUI's is never wider than the tokens.
    twin.t_embedder = TimestepEmbedder(256, mid_size=WIDTH)
    weights = {}
    for key, value in model.model.diffusion_model.state_dict().items():
        path, _, kind = key.rpartition(".")
        if re.fullmatch(r"(x|cap)_pad_token", kind):
            weights[key] = value.clone()
            continue
        for name, target in targets(model, path):
            rows = slice(*target.rows) if target.rows else slice(None)
            weights[f"{name}.{kind}"] = value[rows].clone()
    twin.load_state_dict(weights, strict=True)
    return twin
