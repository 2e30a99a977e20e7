"""A finished LoRA that stands beside the model while it is trained, and only then.

A training adapter makes a distilled model behave as if it were not: with it the model answers as a
model of many steps does, so what is trained on top learns the pictures and not the undoing of the
distillation. It is neither in previews nor in the saved file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..core.attach import Attachment
from ..core.errors import LoraFormatError
from ..lora_format.ir import NETWORK, Layer


@dataclass(frozen=True)
class SideLora:
    """``up @ down`` of one module.

    Attributes:
        down: (rank, in), or (rank, in, kh, kw).
        up: (out, rank), or (out, rank, 1, 1); the scale is in it.
    """

    down: torch.Tensor
    up: torch.Tensor


def side_loras(
    layers: Iterable[Layer], modules: Mapping[str, nn.Module], name: str
) -> dict[str, SideLora]:
    """What a file's layers come to, by module path.

    Args:
        layers: of whole modules.
        modules: of the network.
        name: of the file, for messages.

    Raises:
        LoraFormatError: it has other layers than plain LoRA on modules of the network.
    """
    found: dict[str, SideLora] = {}
    for layer in layers:
        target = layer.target
        plain = layer.algorithm == "lora" and set(layer.factors) == {"lora_down", "lora_up"}
        ours = target.component == NETWORK and target.module_path in modules
        if not plain or not ours or layer.dora_scale is not None:
            raise LoraFormatError(
                f"{name} holds {layer.algorithm} on {target}",
                expected="a training adapter: plain LoRA on layers of the connected model",
                remedy="Choose the adapter that is published for this model, or none",
            )
        down, up = layer.factors["lora_down"], layer.factors["lora_up"]
        scale = 1.0 if layer.alpha is None else layer.alpha / down.shape[0]
        found[target.module_path] = SideLora(down.float(), up.float() * scale)
    return found


def attach_side(
    attachment: Attachment, sides: Mapping[str, SideLora], modules: Mapping[str, nn.Module]
) -> None:
    """Let the modules add it, on top of whatever they compute, until the attachment ends."""
    for path, side in sides.items():
        module = modules[path]
        attachment.replace_forward(module, partial(_with_side, module, module.forward, side, {}))


Placed = dict[tuple[torch.device, torch.dtype], tuple[torch.Tensor, torch.Tensor]]


def _with_side(
    module: nn.Module, forward: Any, side: SideLora, placed: Placed, values: torch.Tensor
) -> torch.Tensor:
    result: torch.Tensor = forward(values)
    place = (values.device, values.dtype)
    if place not in placed:
        placed[place] = (side.down.to(*place), side.up.to(*place))
    down, up = placed[place]
    if isinstance(module, nn.Conv2d):
        hidden = functional.conv2d(
            values, down, None, module.stride, module.padding, module.dilation
        )
        return result + functional.conv2d(hidden, up)
    return result + functional.linear(functional.linear(values, down), up)
