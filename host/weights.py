"""Frozen weights of ComfyUI's layers: in place, offloaded, cast, quantised or paged."""

from __future__ import annotations

import comfy.ops
import torch
from comfy.quant_ops import QuantizedTensor
from torch import nn

from ..core.protocols import FetchedWeight


class ComfyWeights:
    """Fulfils ``core.protocols.WeightSource`` with ComfyUI's own casting."""

    def fetch(self, module: nn.Module, like: torch.Tensor) -> FetchedWeight:
        """Return the weight as the layer itself would use it for an input like this."""
        if not _needs_cast(module, like):
            bias = getattr(module, "bias", None)  # Some norms have none.
            return FetchedWeight(module.weight, bias, _nothing)  # type: ignore[arg-type]
        weight, bias, stream = comfy.ops.cast_bias_weight(
            module, dtype=like.dtype, bias_dtype=like.dtype, device=like.device, offloadable=True
        )
        return FetchedWeight(
            weight.dequantize() if _is_quantized(weight) else weight,
            bias,
            lambda: comfy.ops.uncast_bias_weight(module, weight, bias, stream),
        )


def _needs_cast(module: nn.Module, like: torch.Tensor) -> bool:
    if not hasattr(module, "weight_function"):
        return False  # A plain torch layer, as other packs may put in.
    if module.weight_function or module.bias_function or hasattr(module, "_v"):
        return True
    weight = module.weight
    if _is_quantized(weight):
        return True
    return weight.dtype != like.dtype or weight.device != like.device


def _is_quantized(weight: object) -> bool:
    """Whether this is a subclass of the host's that keeps small numbers and a scale."""
    return isinstance(weight, QuantizedTensor)


def _nothing() -> None:
    """There is nothing to release when the weight was used in place."""
