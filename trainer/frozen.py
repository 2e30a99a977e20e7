"""A frozen layer costs one backward, not two, and nothing of it is kept.

Its weight is fetched again in the backward pass instead of being saved: no cast copy stays
alive, and a weight that was offloaded, quantised or evicted in between is simply fetched anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.grad import conv2d_input

from ..core.attach import Attachment
from ..core.protocols import WeightSource

Forward = Callable[[torch.Tensor], torch.Tensor]


class _FrozenLayer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: torch.Tensor, module: nn.Module, original: Forward,
        weights: WeightSource,
    ) -> torch.Tensor:
        ctx.module, ctx.weights = module, weights
        ctx.shape, ctx.dtype = values.shape, values.dtype
        return original(values)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (grad,) = grads
        fetched = ctx.weights.fetch(ctx.module, grad)
        try:
            result = _input_gradient(ctx.module, fetched.weight, grad, ctx.shape)
        finally:
            fetched.release()
        return result.to(ctx.dtype), None, None, None


def _input_gradient(
    module: nn.Module, weight: torch.Tensor, grad: torch.Tensor, shape: torch.Size
) -> torch.Tensor:
    """Gradient with respect to the layer's input; the weight itself needs none."""
    if isinstance(module, nn.Conv2d):
        return conv2d_input(
            shape, weight, grad, module.stride, module.padding, module.dilation, module.groups
        )
    return grad @ weight


def is_foldable(module: nn.Module) -> bool:
    """Whether :func:`frozen_forward` knows this layer's backward."""
    if isinstance(module, nn.Conv2d):
        return module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return is_linear(module)


def is_linear(module: nn.Module) -> bool:
    """Whether this computes ``x @ weight.T + bias``; the host's quantised layers derive from
    nothing of torch's that says so."""
    return isinstance(module, nn.Linear) or (
        hasattr(module, "in_features") and hasattr(module, "out_features")
        and hasattr(module, "weight") and "Linear" in type(module).__name__
    )


def frozen_forward(
    module: nn.Module, original: Forward, weights: WeightSource, values: torch.Tensor
) -> torch.Tensor:
    """Compute a frozen Linear or Conv2d; differentiable with respect to its input only.

    Args:
        module: the layer, asked for its geometry.
        original: its forward as it was before anything was attached.
        weights: fetches its weight for the backward pass.
        values: its input.
    """
    if torch.is_grad_enabled() and values.requires_grad:
        result: torch.Tensor = _FrozenLayer.apply(values, module, original, weights)
        return result
    # Older hosts leave requires_grad on weights that autograd must not see.
    with torch.no_grad():
        frozen = original(values)
    # A view made without gradients may not be added to in place, which some blocks do (Flux).
    return frozen.detach()


def attach_frozen(
    attachment: Attachment, modules: Iterable[nn.Module], weights: WeightSource
) -> None:
    """Let frozen layers that carry no adapter pass gradients on without keeping weights."""
    for module in modules:
        if is_foldable(module):
            forward = partial(frozen_forward, module, module.forward, weights)
            attachment.replace_forward(module, forward)
