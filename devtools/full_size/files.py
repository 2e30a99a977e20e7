"""Files of the real dimensions with random weights, written tensor by tensor.

Names and shapes are those of ComfyUI's own networks, built without memory. A file holds the
diffusion network alone: text encoders and VAE are left out, and what they would make is replaced
by random tensors of the same shapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .plans import Plan

DTYPE = torch.bfloat16
SDXL = {
    "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 320,
    "num_res_blocks": [2, 2, 2], "channel_mult": [1, 2, 4], "num_head_channels": 64,
    "transformer_depth": [0, 0, 2, 2, 10, 10], "transformer_depth_middle": 10,
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10], "use_spatial_transformer": True,
    "use_linear_in_transformer": True, "context_dim": 2048, "num_classes": "sequential",
    "adm_in_channels": 2816, "legacy": False, "use_checkpoint": False,
    "use_temporal_attention": False, "use_temporal_resblock": False,
}
Z_IMAGE = {
    "patch_size": 2, "in_channels": 16, "dim": 3840, "n_layers": 30, "n_heads": 30,
    "n_kv_heads": 30, "cap_feat_dim": 2560, "qk_norm": True, "axes_dims": [32, 48, 48],
    "axes_lens": [1536, 512, 512], "rope_theta": 256.0, "ffn_dim_multiplier": 8.0 / 3.0,
    "z_image_modulation": True, "time_scale": 1000.0, "pad_tokens_multiple": 32,
}
"""The sizes that ComfyUI finds in the published checkpoints (``comfy.model_detection``)."""


def network_of(family: str) -> nn.Module:
    """A family's network without memory, as ComfyUI builds it."""
    import comfy.ldm.lumina.model
    import comfy.ldm.modules.diffusionmodules.openaimodel as unet
    import comfy.ops

    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "sdxl": (unet.UNetModel, SDXL),
        "z_image": (comfy.ldm.lumina.model.NextDiT, Z_IMAGE),
    }
    kind, sizes = kinds[family]
    made: nn.Module = kind(
        **sizes, dtype=DTYPE, device="meta", operations=comfy.ops.disable_weight_init
    )
    return made


def write_random(path: Path, plan: Plan) -> int:
    """Write a family's file; returns the number of weights in it.

    Raises:
        OSError: the disk is full, or the file cannot be written.
    """
    from lora_kiln.core import atomic

    network = network_of(plan.family)
    tensors = {plan.key_prefix + name: tensor for name, tensor in network.named_parameters()}
    atomic.write_blocks(path, _blocks(tensors))
    return sum(tensor.numel() for tensor in tensors.values())


def _blocks(tensors: Mapping[str, torch.Tensor]) -> Iterator[bytes | memoryview]:
    """The file's bytes; one tensor at a time is in memory."""
    from lora_kiln.core.tensor_stream import data_blocks, header_bytes, ordered_names

    yield header_bytes(tensors, {})
    for index, name in enumerate(ordered_names(tensors)):
        yield from data_blocks({name: _filled(name, tensors[name], index)})


def _filled(name: str, like: torch.Tensor, seed: int) -> torch.Tensor:
    """Weights that keep the size of what goes through them; norms 1, biases 0."""
    made = torch.empty(like.shape, dtype=like.dtype)
    if made.ndim == 1:
        return made.fill_(float(name.endswith("weight")))
    scale = 1 / math.sqrt(math.prod(made.shape[1:]))
    return made.normal_(0.0, scale, generator=torch.Generator().manual_seed(seed))
