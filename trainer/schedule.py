"""Optimizer and learning rate schedule; the schedules are diffusers' own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..core.errors import MissingLibrary
from .config import TrainSettings

DIFFUSERS_NAMES = {
    "constant": "constant_with_warmup",
    "cosine": "cosine",
    "linear": "linear",
}
FUSED_DEVICES = ("cpu", "cuda")


def make_optimizer(
    groups: Sequence[tuple[float, list[torch.nn.Parameter]]], settings: TrainSettings
) -> torch.optim.Optimizer:
    """AdamW (arXiv 1711.05101) over fp32 factors.

    An adapter is hundreds of small tensors; where torch has one kernel for all of an update's
    arithmetic, a step of the optimizer takes a third of the time.

    Args:
        groups: factor on the learning rate, and the parameters it is for.
        settings: of the run.
    """
    devices = {parameter.device.type for _, parameters in groups for parameter in parameters}
    fused = devices <= set(FUSED_DEVICES)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": settings.learning_rate * rate}
            for rate, parameters in groups
        ],
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=fused or None,
    )


def make_schedule(optimizer: torch.optim.Optimizer, settings: TrainSettings) -> Any:
    """The learning rate over the whole run, in updates."""
    try:
        from diffusers.optimization import get_scheduler
    except ImportError as error:
        raise MissingLibrary("diffusers", "its learning rate schedules are used") from error
    return get_scheduler(
        DIFFUSERS_NAMES[settings.schedule],
        optimizer,
        num_warmup_steps=settings.warmup_steps,
        num_training_steps=settings.steps,
    )
