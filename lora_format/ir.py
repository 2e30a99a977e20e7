"""The one in-memory form of a LoRA; readers and writers of every format go through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

NETWORK = "unet"
"""Component name of the diffusion network, whether it is a UNet or a transformer."""


@dataclass(frozen=True, order=True)
class Target:
    """What a layer changes: a module, or some output rows of it.

    Attributes:
        component: ``unet`` (the diffusion network) or a text encoder such as ``clip_l``.
        module_path: dotted name in the model's own naming, without the network's prefix.
        rows: output rows [start, stop) when a fused module is trained in parts, as q, k and v.
    """

    component: str
    module_path: str
    rows: tuple[int, int] | None = None

    def __str__(self) -> str:
        part = f" rows {self.rows[0]} to {self.rows[1]}" if self.rows else ""
        return f"{self.component}: {self.module_path}{part}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """What a LoRA file holds for one target.

    Attributes:
        target: what it changes.
        algorithm: how the factors make the change; a name from ``algorithms/``.
        factors: tensors by their names in that algorithm, such as ``lora_down``.
        alpha: numerator of the scale; None where the algorithm has no scale.
        dora_scale: magnitudes of weight decomposition (arXiv 2402.09353), shaped for broadcasting.
    """

    target: Target
    algorithm: str
    factors: Mapping[str, torch.Tensor]
    alpha: float | None = None
    dora_scale: torch.Tensor | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class LoraFile:
    """A whole LoRA, whatever file it came from or goes to.

    Attributes:
        family: name of the model family.
        layers: in the order of the source.
        metadata: strings of the header.
        embeddings: trained words, ``{trigger: {clip_l: (n, width), …}}``.
        unknown: keys that were not understood, with the reason.
    """

    family: str
    layers: tuple[Layer, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    embeddings: Mapping[str, Mapping[str, torch.Tensor]] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)


def lora_layer(
    module_path: str,
    *,
    down: torch.Tensor,
    up: torch.Tensor,
    alpha: float,
    component: str = NETWORK,
    rows: tuple[int, int] | None = None,
    dora_scale: torch.Tensor | None = None,
) -> Layer:
    """A plain LoRA: what is added is ``strength * alpha / rank * up @ down``.

    Args:
        module_path: the module's dotted name.
        down: (rank, in_features), or (rank, in_channels, kh, kw) for convolutions.
        up: (out_features, rank), or (out_channels, rank, 1, 1).
        alpha: numerator of the scale.
        component: which network the module is in.
        rows: output rows, for a part of a fused module.
        dora_scale: magnitudes, for DoRA.
    """
    return Layer(
        target=Target(component, module_path, rows),
        algorithm="lora",
        factors={"lora_down": down, "lora_up": up},
        alpha=alpha,
        dora_scale=dora_scale,
    )
