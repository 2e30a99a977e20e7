"""What training needs to know about a family, as data.

A *variant* is one way in which models of a family are published: the base model, or one that was
distilled to few steps. Its layers are the same; what fits it in training and in previews is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Levels:
    """How noise levels are drawn where the person chooses nothing.

    Attributes:
        density: name of a timestep density.
        mean: its mean, where it has one.
        spread: its width; None for the density's own.
        shift: ``none``, ``static``, ``resolution`` or ``model``.
        shift_value: of a static shift.
        reason: why, in one sentence.
    """

    density: str
    mean: float = 0.0
    spread: float | None = None
    shift: str = "none"
    shift_value: float = 1.0
    reason: str


@dataclass(frozen=True, kw_only=True)
class Preview:
    """How the stock sampler draws with a model of this kind."""

    sampler: str = "euler"
    scheduler: str = "normal"
    steps: int = 20
    cfg: float = 5.0


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One kind of model within a family.

    Attributes:
        title: what people call it.
        levels: default noise levels; None for those of the objective.
        preview: how previews are drawn.
        guidance: what a network that takes guidance as an input is told in training.
        warning: what a person should know before training it; empty for nothing.
        adapter_helps: whether a training adapter is published that keeps it from blurring.
    """

    title: str
    levels: Levels | None = None
    preview: Preview
    guidance: float | None = None
    warning: str = ""
    adapter_helps: bool = False


@dataclass(frozen=True, kw_only=True)
class Advice:
    """Settings to begin with, for one purpose. ``steps_per_picture`` 0: see ``steps``."""

    rank: int
    learning_rate: float
    steps: int
    steps_per_picture: int = 0
    targets: str


@dataclass(frozen=True, kw_only=True)
class Training:
    """How models of a family are trained.

    Attributes:
        network_class: class of the host's network; others with the same modules are refused.
        host_models: what the host calls models of this family; others with such a network are
            refused, too: they are told other things (SDXL's refiner) or predict others. Empty:
            any.
        presets: regular expressions over module paths, by name.
        preset: the one experts choose.
        blocks: pairs of a regular expression over module paths and a label; a group in it is the
            number that the label ends with. The first that matches names a module's block.
        checkpointed: class names of blocks whose activations may be recomputed in backward.
        in_place_blocks: class names of blocks that add to their input in place, so that what was
            kept of it for the backward pass must be a copy.
        bucket_step_px: sides of training pictures are multiples of this at full resolution.
        patch: side, in latent cells, of what the network takes as one token.
        variants: kinds of models by name; ``base`` is always there.
        advice: settings to begin with for ``style``, ``character`` and ``concept``.
    """

    network_class: str
    presets: Mapping[str, str]
    preset: str
    blocks: tuple[tuple[str, str], ...]
    checkpointed: tuple[str, ...]
    in_place_blocks: tuple[str, ...] = ()
    host_models: tuple[str, ...] = ()
    bucket_step_px: int
    patch: int = 2
    variants: Mapping[str, Variant]
    advice: Mapping[str, Advice] = field(default_factory=dict)

    def is_target(self, module_path: str, preset: str = "auto") -> bool:
        """Whether a preset trains a module.

        Raises:
            ConfigError: the family has no such preset.
        """
        name = self.preset if preset == "auto" else preset
        if name not in self.presets:
            raise ConfigError(
                f"targets is '{preset}'",
                expected=f"what this family has: auto, {', '.join(self.presets)}",
                remedy="Choose one of these",
            )
        return re.search(self.presets[name], module_path) is not None

    def block_of(self, module_path: str) -> str:
        """Label of the block a module stands in; ``other`` for none of them."""
        for pattern, label in self.blocks:
            match = re.search(pattern, module_path)
            if match:
                return label + (match.group(1) if match.groups() else "")
        return "other"
