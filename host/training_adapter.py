"""Reads a training adapter from models/loras for a connected MODEL, whatever form its file has."""

from __future__ import annotations

from typing import Any

import torch

from ..core.errors import LoraFormatError
from ..lora_format.fuse import fuse_parts
from ..lora_format.published import file_sha256
from ..lora_format.read import read
from ..trainer.side_lora import SideLora, side_loras
from . import paths
from .base import connected_base

NONE = "none"


def read_training_adapter(name: str, model: Any) -> tuple[dict[str, SideLora], str]:
    """Its factors by module path, and the file's hash.

    Args:
        name: as the stock loader lists it.
        model: MODEL.

    Raises:
        LoraFormatError: it does not fit the model whole.
    """
    path = paths.resolve_lora(name)
    base = connected_base(model).base
    with torch.inference_mode(False):
        reading = read(path, base)
        if reading.errors:
            raise LoraFormatError(
                f"{path.name} does not fit the connected model: {reading.errors[0].text}",
                expected="the training adapter that is published for this model",
                remedy="Choose another file, or none",
            )
        layers = fuse_parts(reading.lora.layers, base.table)
        modules = dict(model.model.diffusion_model.named_modules())
        return side_loras(layers, modules, path.name), file_sha256(path)
