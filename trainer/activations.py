"""Optional checkpointing of activations, block by block (Chen et al., arXiv 1604.06174)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from ..core.attach import Attachment
from ..core.protocols import Denoiser
from ..lora_format.family import Family


def checkpoint_blocks(attachment: Attachment, denoiser: Denoiser, family: Family) -> int:
    """Let every block recompute its inside in the backward pass; returns how many blocks."""
    training, count = family.training, 0
    for module in denoiser.modules().values():
        name = type(module).__name__
        if name in training.checkpointed:
            forward = module.forward
            if name in training.in_place_blocks:
                forward = partial(_on_copies, forward)
            attachment.replace_forward(module, partial(_recomputed, forward))
            count += 1
    return count


def _on_copies(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Leave the inputs as they are: computed a second time, the block must begin with the same."""
    return forward(
        *(_copy(value) for value in args), **{key: _copy(value) for key, value in kwargs.items()}
    )


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value


def _recomputed(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    # No random numbers are drawn inside the blocks, so no generator state needs keeping.
    return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)
