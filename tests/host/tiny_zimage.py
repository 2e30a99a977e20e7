"""A random model of Z-Image's shape, its text encoder and a VAE, small enough for any test.

ComfyUI's own classes with small sizes, made under inference mode as nodes make theirs. Import only
after ComfyUI is importable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.supported_models
import comfy.supported_models_base
import comfy.taesd.taesd
import comfy.text_encoders.z_image
import torch
from torch import nn

from lora_kiln.host import demo_model

TEXT_WIDTH = 32
CONFIG: dict[str, Any] = {
    "image_model": "lumina2",
    "patch_size": 2,
    "in_channels": 16,
    # The embedding of the timestep is 256 wide in this family, and tokens must not be narrower.
    "dim": 256,
    "n_layers": 2,
    "n_refiner_layers": 2,
    "n_heads": 8,
    "n_kv_heads": 8,
    "axes_dims": [8, 12, 12],
    "axes_lens": [1536, 512, 512],
    "rope_theta": 256.0,
    "ffn_dim_multiplier": 0.75,
    "multiple_of": 32,
    "qk_norm": True,
    "cap_feat_dim": TEXT_WIDTH,
    "z_image_modulation": True,
    "time_scale": 1000.0,
    "pad_tokens_multiple": 32,
}
TEXT_CONFIG: dict[str, Any] = {
    "hidden_size": TEXT_WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
LATENT_CHANNELS = 16


def make_model(
    config: Mapping[str, Any] = CONFIG, dtype: torch.dtype = torch.float32
) -> comfy.model_patcher.ModelPatcher:
    """A MODEL with random weights, the same in every run."""
    return patcher_of(comfy.supported_models.ZImage(dict(config)), dtype)


def patcher_of(
    description: comfy.supported_models_base.BASE, dtype: torch.dtype = torch.float32
) -> comfy.model_patcher.ModelPatcher:
    """A MODEL of a description with random weights."""
    description.set_inference_dtype(dtype, None)
    with torch.inference_mode():
        model = description.get_model({}, "")
        fill(model.diffusion_model)
        return comfy.model_patcher.ModelPatcher(
            model,
            load_device=comfy.model_management.get_torch_device(),
            offload_device=comfy.model_management.unet_offload_device(),
        )


def make_clip() -> comfy.sd.CLIP:
    """ComfyUI's own Z-Image text encoder with random weights: 4 layers of Qwen3, 32 wide."""
    encoders = comfy.text_encoders.z_image
    target = comfy.supported_models_base.ClipTarget(
        encoders.ZImageTokenizer, encoders.ZImageTEModel
    )
    return clip_of(target, {"qwen3_4b_model_config": dict(TEXT_CONFIG)})


def clip_of(
    target: comfy.supported_models_base.ClipTarget, options: Mapping[str, Any]
) -> comfy.sd.CLIP:
    """A CLIP of a target with random weights."""
    with torch.inference_mode():
        # No random numbers are spent on weights that are overwritten at once.
        with demo_model._weights_at_once():
            clip = comfy.sd.CLIP(target, model_options=dict(options))
        fill(clip.cond_stage_model)
        return clip


def make_vae(channels: int = LATENT_CHANNELS) -> comfy.sd.VAE:
    """A VAE in TAESD's form with random weights."""
    with torch.inference_mode():
        small = comfy.taesd.taesd.TAESD(latent_channels=channels)
        fill(small)
        small.vae_scale.fill_(1.0)
        small.vae_shift.fill_(0.0)
        return comfy.sd.VAE(sd=dict(small.state_dict()))


def fill(network: nn.Module) -> None:
    """Give every parameter its value, by its place among the names."""
    for index, (name, tensor) in enumerate(sorted(network.named_parameters())):
        generator = torch.Generator().manual_seed(index)
        values = torch.randn(tensor.shape, generator=generator)
        if tensor.ndim < 2:
            # Norms keep their scale; biases are small.
            values = 0.05 * values + float(name.endswith(("weight", "scale")))
        elif name.endswith("pad_token") or "embed_tokens" in name:
            values = 0.7 * values
        else:
            values = values / math.sqrt(max(1, tensor[:1].numel()))
        tensor.copy_(values)


def lora_tensors(
    model: comfy.model_patcher.ModelPatcher, *, rank: int = 4, size: float = 0.3, seed: int = 0
) -> dict[str, torch.Tensor]:
    """A plain LoRA over every Linear of the blocks, alpha half the rank, in ComfyUI's own names.

    Args:
        model: gives the modules.
        rank: of every layer.
        size: norm of the change as a share of the weight's norm, about.
        seed: another LoRA.
    """
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for path, module in _layers(model):
        out, into = module.weight.shape
        up = torch.randn(out, rank, generator=generator) * 2 * size / math.sqrt(rank * into)
        name = f"diffusion_model.{path}"
        tensors[f"{name}.lora_down.weight"] = torch.randn(rank, into, generator=generator)
        tensors[f"{name}.lora_up.weight"] = up
        tensors[f"{name}.alpha"] = torch.tensor(rank / 2)
    return tensors


def _layers(model: comfy.model_patcher.ModelPatcher) -> Iterable[tuple[str, nn.Linear]]:
    for path, module in model.model.diffusion_model.named_modules():
        if isinstance(module, nn.Linear) and path.startswith(("layers.", "noise_", "context_")):
            yield path, module
