"""Small files for tests: published module names and widths, and a rank of two."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from lora_kiln.lora_format.architectures.ldm_unet import LdmUnet

Shapes = Mapping[str, tuple[int, ...]]
Tensors = dict[str, torch.Tensor]
RANK = 2
TINY_SDXL = LdmUnet(
    channels=16, multiples=(1, 2, 4), resnets=2, depths=(0, 2, 2), middle_depth=2, context=2048,
    extra=2816, linear_projections=True,
)
"""A UNet of SDXL's kind; its first attention (``input_blocks.4.1``) is 32 wide."""


def pairs(
    modules: Shapes,
    down: str = ".lora_A.weight",
    up: str = ".lora_B.weight",
    *,
    prefix: str = "",
    flat: bool = False,
    alpha: float | None = None,
    rank: int = RANK,
) -> Tensors:
    """A pair of factors for each module, by default as PEFT writes them.

    Args:
        modules: weight shapes by name.
        down, up: what ends the names of the factors.
        prefix: what begins them.
        flat: whether names are written with underscores.
        alpha: in a tensor of its own; None for none.
        rank: of the factors.
    """
    found: Tensors = {}
    for module, (outputs, *inputs) in modules.items():
        stem = prefix + (module.replace(".", "_") if flat else module)
        generator = torch.Generator().manual_seed(len(found))
        found[stem + down] = torch.randn(rank, *inputs, generator=generator) * 0.1
        kernel = [1] * (len(inputs) - 1)
        found[stem + up] = torch.randn(outputs, rank, *kernel, generator=generator) * 0.1
        if alpha is not None:
            found[f"{stem}.alpha"] = torch.tensor(float(alpha))
    return found


def kohya(modules: Shapes, prefix: str = "", *, alpha: float = RANK, rank: int = RANK) -> Tensors:
    """The same as Kohya's scripts write them: underscores, and alpha as a tensor."""
    return pairs(
        modules, ".lora_down.weight", ".lora_up.weight", prefix=prefix, flat=True, alpha=alpha,
        rank=rank,
    )


def dotted(modules: Shapes, prefix: str = "", *, alpha: float = RANK, rank: int = RANK) -> Tensors:
    """Kohya's factors behind dotted names."""
    return pairs(
        modules, ".lora_down.weight", ".lora_up.weight", prefix=prefix, alpha=alpha, rank=rank
    )


def kronecker(modules: Shapes, prefix: str = "", *, alpha: float | None = 16.0) -> Tensors:
    """LoKr of two whole sides."""
    found: Tensors = {}
    for module, (outputs, inputs) in modules.items():
        found[f"{prefix}{module}.lokr_w1"] = torch.ones(4, 4) / 4
        found[f"{prefix}{module}.lokr_w2"] = torch.full((outputs // 4, inputs // 4), 0.01)
        if alpha is not None:
            found[f"{prefix}{module}.alpha"] = torch.tensor(alpha)
    return found


def write(
    path: Path,
    tensors: Tensors,
    metadata: Mapping[str, Any] | None = None,
    beside: Mapping[str, Any] | None = None,
) -> Path:
    """Write a file; metadata that are no strings become JSON.

    Args:
        path: the file.
        tensors: by key.
        metadata: for the header.
        beside: PEFT's ``adapter_config.json``.
    """
    texts = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in (metadata or {}).items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path, texts or None)
    if beside is not None:
        path.with_name("adapter_config.json").write_text(json.dumps(beside), "utf-8")
    return path


def write_tiny_sdxl(path: Path) -> Path:
    """A checkpoint in ComfyUI's layout, of the network alone."""
    tensors: Tensors = {}
    for index, (module, shape) in enumerate(TINY_SDXL.shapes().items()):
        generator = torch.Generator().manual_seed(index)
        weight = torch.randn(shape, generator=generator)
        tensors[f"model.diffusion_model.{module}.weight"] = weight
    return write(path, tensors)
