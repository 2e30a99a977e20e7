"""The one in-memory form of a LoRA; readers and writers of every format go through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True, kw_only=True)
class LoraLayer:
    """What is added to one module: ``strength * alpha / rank * up @ down``.

    Attributes:
        module_path: dotted name in the model's own naming, without the network's prefix.
        component: ``unet`` or a text encoder such as ``clip_l``.
        down: (rank, in_features), or (rank, in_channels, kh, kw) for convolutions.
        up: (out_features, rank), or (out_channels, rank, 1, 1).
        alpha: numerator of the scale.
    """

    module_path: str
    component: str
    down: torch.Tensor
    up: torch.Tensor
    alpha: float

    @property
    def rank(self) -> int:
        """Number of rows of ``down``."""
        return int(self.down.shape[0])

    @property
    def scale(self) -> float:
        """``alpha / rank``."""
        return self.alpha / self.rank


@dataclass(frozen=True, kw_only=True)
class LoraFile:
    """A whole LoRA, whatever file it came from or goes to."""

    family: str
    layers: tuple[LoraLayer, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
