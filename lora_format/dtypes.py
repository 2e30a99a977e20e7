"""Number formats of files, and what rounding to one may cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch

from ..core.errors import LoraFormatError
from .ir import Layer

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
KEEP = "keep"
LIMIT = 1e-6
"""Largest relative error in fp32; in half precision, what one rounding may cost."""
ROUNDING = {torch.float16: 2e-3, torch.bfloat16: 1.6e-2}


def cast(layer: Layer, dtype: torch.dtype) -> Layer:
    """A layer with its tensors in another number format.

    Raises:
        LoraFormatError: a value is too large for it.
    """
    factors = {name: cast_tensor(tensor, dtype, layer) for name, tensor in layer.factors.items()}
    scale = layer.dora_scale
    return replace(
        layer, factors=factors,
        dora_scale=None if scale is None else cast_tensor(scale, dtype, layer),
    )


def cast_tensor(tensor: torch.Tensor, dtype: torch.dtype, layer: Layer) -> torch.Tensor:
    """A tensor of a layer in another number format, contiguous.

    Raises:
        LoraFormatError: a value is too large for it.
    """
    found = tensor.to(dtype).contiguous()
    if not is_finite(found) and is_finite(tensor):
        raise LoraFormatError(
            f"{layer.target} has values up to {float(tensor.abs().max()):.3g}",
            expected=f"values below {torch.finfo(dtype).max:.3g}, the largest of {dtype}",
            remedy="Choose bf16 or fp32 as dtype",
        )
    return found


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether all values are numbers; also for fp8, for which torch cannot tell."""
    small = tensor.is_floating_point() and tensor.itemsize == 1
    return bool((tensor.to(torch.float32) if small else tensor).isfinite().all())


def limit_of(layers: Iterable[Layer]) -> float:
    """Largest relative error that writing these layers may bring."""
    dtypes = {tensor.dtype for layer in layers for tensor in layer.factors.values()}
    return max([LIMIT, *(ROUNDING.get(dtype, LIMIT) for dtype in dtypes)])


def imprecise(found: str, layers: Iterable[Layer]) -> LoraFormatError:
    """The error of a result that is further off than its number format excuses.

    Args:
        found: what differs from what, and by how much.
        layers: the result.
    """
    limit = limit_of(layers)
    first = "Choose fp32 as dtype, as fp16 rounds very small values away; if that fails too, please"
    return LoraFormatError(
        found,
        expected=f"a relative difference of at most {limit:g}",
        remedy=f"{'Please' if limit == LIMIT else first} report this file; nothing was written",
    )


def common_dtype(layers: Iterable[Layer]) -> torch.dtype:
    """The smallest number format, up to fp32, that holds these layers' factors unrounded."""
    dtypes = {_held_by(t.dtype) for layer in layers for t in layer.factors.values()}
    return dtypes.pop() if len(dtypes) == 1 else torch.float32


def _held_by(dtype: torch.dtype) -> torch.dtype:
    if dtype in ROUNDING:
        return dtype
    # Both kinds of fp8 have no more exponent and fraction bits than fp16.
    return torch.float16 if dtype.is_floating_point and dtype.itemsize == 1 else torch.float32
