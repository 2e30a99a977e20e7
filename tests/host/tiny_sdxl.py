"""A random model of SDXL's shape, small enough to sample hundreds of times in a test.

Made under inference mode, as nodes make theirs. Import only after ComfyUI is importable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.supported_models
import torch
from safetensors.torch import save_file
from torch import nn

from lora_kiln.host import demo_model

CONFIG: dict[str, Any] = {
    **demo_model.UNET_CONFIG,
    "model_channels": 32,
    "channel_mult": [1, 2],
    "num_res_blocks": [1, 1],
    "transformer_depth": [0, 1],
    "transformer_depth_output": [0, 0, 1, 1],
    "num_head_channels": 16,
}


def make_model(
    config: Mapping[str, Any] = CONFIG, dtype: torch.dtype = torch.float32
) -> comfy.model_patcher.ModelPatcher:
    """A MODEL with random weights, the same in every run."""
    description = comfy.supported_models.SDXL(dict(config))
    description.set_inference_dtype(dtype, None)
    with torch.inference_mode():
        model = description.get_model({}, "")
        _fill(model.diffusion_model)
        return comfy.model_patcher.ModelPatcher(
            model,
            load_device=comfy.model_management.get_torch_device(),
            offload_device=comfy.model_management.unet_offload_device(),
        )


def make_clip() -> comfy.sd.CLIP:
    """The demo's text encoders: they are random and need no file."""
    with torch.inference_mode():
        return demo_model._make_clip()


def _fill(network: nn.Module) -> None:
    for index, (name, tensor) in enumerate(sorted(network.named_parameters())):
        generator = torch.Generator().manual_seed(index)
        values = torch.randn(tensor.shape, generator=generator)
        if tensor.ndim == 1:
            # Norms keep their scale; biases are small.
            values = 0.05 * values + float(name.endswith("weight"))
        else:
            values = values / math.sqrt(tensor[0].numel())
        tensor.copy_(values)


def lora_tensors(
    model: comfy.model_patcher.ModelPatcher, *, rank: int = 4, size: float = 0.3, seed: int = 0
) -> dict[str, torch.Tensor]:
    """A plain LoRA over every Linear and Conv2d, alpha half the rank, in Kohya's names.

    Args:
        model: gives the modules.
        rank: of the linear layers; convolutions get one less.
        size: norm of the change as a share of the weight's norm, about.
        seed: another LoRA.
    """
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for path, module in _layers(model):
        weight = module.weight
        own = rank if isinstance(module, nn.Linear) else rank - 1
        down = torch.randn(own, *weight.shape[1:], generator=generator)
        up = torch.randn(weight.shape[0], own, *([1] * (weight.ndim - 2)), generator=generator)
        # |up @ down| is about sqrt(out * in * rank); the scale of alpha / rank is one half.
        up *= 2 * size / math.sqrt(own * weight[0].numel())
        name = "lora_unet_" + path.replace(".", "_")
        tensors[f"{name}.lora_down.weight"] = down
        tensors[f"{name}.lora_up.weight"] = up
        tensors[f"{name}.alpha"] = torch.tensor(own / 2)
    return tensors


def text_lora_tensors(*, size: float = 0.3) -> dict[str, torch.Tensor]:
    """A LoRA on one layer of the first text encoder."""
    width = demo_model.CLIP_L_WIDTH
    generator = torch.Generator().manual_seed(5)
    name = "lora_te1_text_model_encoder_layers_1_mlp_fc1"
    return {
        f"{name}.lora_down.weight": torch.randn(4, width, generator=generator),
        f"{name}.lora_up.weight": size * torch.randn(2 * width, 4, generator=generator),
        f"{name}.alpha": torch.tensor(4.0),
    }


def _layers(
    model: comfy.model_patcher.ModelPatcher,
) -> Iterable[tuple[str, nn.Linear | nn.Conv2d]]:
    for path, module in model.model.diffusion_model.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            yield path, module


def write_lora(folder: Path, name: str, tensors: Mapping[str, torch.Tensor]) -> Path:
    """Write a LoRA file into ``models/loras``."""
    path = folder / "models" / "loras" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in tensors.items()}, path)
    return path
