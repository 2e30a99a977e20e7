"""Norms that keep weights of their own for the time of training.

Unlike a Linear or Conv2d, a norm has autograd save its weight for backward. What the host hands
out may be an inference tensor, or a view into a buffer that the next layer's weights overwrite;
norms are small, so each gets a copy that nobody else touches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..core.attach import Attachment
from ..core.protocols import WeightSource

NORMS = (nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
Copies = dict[torch.dtype, tuple[torch.Tensor, torch.Tensor | None]]


def attach_norms(
    attachment: Attachment,
    network: nn.Module,
    weights: WeightSource,
    in_place_blocks: Sequence[str] = (),
) -> None:
    """Let every norm of a network compute with its own copy.

    Args:
        attachment: takes it away again.
        network: the network.
        weights: fetches the norms' weights.
        in_place_blocks: class names of blocks that change their input after a norm read it. A norm
            keeps what it read for the backward pass, so there it reads a copy.
    """
    for module in network.modules():
        if isinstance(module, NORMS) and module.weight is not None:
            copies: Copies = {}
            attachment.replace_forward(module, partial(_normalise, module, weights, copies))
        if type(module).__name__ in in_place_blocks:
            for child in module.children():
                if isinstance(child, NORMS):
                    attachment.replace_forward(child, partial(_on_a_copy, child.forward))


def _on_a_copy(
    forward: Callable[[torch.Tensor], torch.Tensor], values: torch.Tensor
) -> torch.Tensor:
    return forward(values.clone() if torch.is_grad_enabled() else values)


def _normalise(
    module: Any, weights: WeightSource, copies: Copies, values: torch.Tensor
) -> torch.Tensor:
    if values.dtype not in copies:
        copies[values.dtype] = _own_copy(module, weights, values)
    weight, bias = copies[values.dtype]
    if isinstance(module, nn.GroupNorm):
        return functional.group_norm(values, module.num_groups, weight, bias, module.eps)
    if isinstance(module, nn.RMSNorm):
        return functional.rms_norm(values, module.normalized_shape, weight, module.eps)
    return functional.layer_norm(values, module.normalized_shape, weight, bias, module.eps)


def _own_copy(
    module: nn.Module, weights: WeightSource, like: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor | None]:
    fetched = weights.fetch(module, like)
    try:
        with torch.no_grad():
            bias = None if fetched.bias is None else fetched.bias.clone()
            return fetched.weight.clone(), bias
    finally:
        fetched.release()
