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
    count = 0
    for module in denoiser.modules().values():
        if type(module).__name__ in family.training.checkpointed:
            attachment.replace_forward(module, partial(_recomputed, module.forward))
            count += 1
    return count


def _recomputed(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    # No random numbers are drawn inside the blocks, so no generator state needs keeping.
    return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)
