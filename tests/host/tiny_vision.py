"""CLIP_VISION objects of every kind, small and random, from ComfyUI's own classes."""

from __future__ import annotations

from typing import Any

import torch

_COMMON: dict[str, Any] = {
    "num_channels": 3, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2,
    "num_hidden_layers": 2, "image_size": 28, "patch_size": 14,
}
_DINO = {
    "layer_norm_eps": 1e-6, "use_swiglu_ffn": False, "use_mask_token": True, "image_size": 518,
    "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
}
KINDS: dict[str, dict[str, Any]] = {
    "clip": {"model_type": "clip_vision_model", "hidden_act": "quick_gelu", "projection_dim": 48},
    "siglip": {"model_type": "siglip_vision_model", "hidden_act": "gelu_pytorch_tanh"},
    "dinov2": {"model_type": "dinov2", **_DINO},
}


def make_vision(kind: str = "clip", **changes: Any) -> Any:
    """A CLIP_VISION as the stock loader makes it, its weights drawn from a seed."""
    from comfy.clip_vision import ClipVisionModel

    made = ClipVisionModel({**_COMMON, **KINDS[kind], **changes})
    with torch.no_grad():
        for index, (name, tensor) in enumerate(sorted(made.model.named_parameters())):
            values = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(index))
            is_norm = "norm" in name and name.endswith("weight")
            tensor.copy_(torch.ones(tensor.shape) if is_norm else values * 0.3)
    return made
