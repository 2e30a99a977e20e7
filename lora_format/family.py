"""What a model family is, as data; each file in ``families/`` declares one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from ..core.registry import declared_objects
from .architecture import Architecture
from .ir import NETWORK
from .stored import Layout
from .table import ModuleTable, built_in
from .training import Training
from .versions import Since


@dataclass(frozen=True, kw_only=True)
class Family:
    """A model family.

    Attributes:
        name: short name used in files and settings.
        title: what people call it.
        base_version: ``ss_base_model_version`` and friends in Kohya metadata.
        architecture: ``modelspec.architecture`` of a LoRA for it.
        network: its diffusion network, as published.
        text_encoders: by component, in the order in which files count them.
        key_prefixes: for each component, what the stock loader expects before a module's name:
            ending in ``_`` the name follows with underscores, ending in ``.`` with dots.
        stock_forms: every spelling that the stock loader reads, for each component. In braces:
            ``own`` for the model's own name, ``other`` for diffusers', ``own_flat`` and
            ``other_flat`` with underscores, ``processor`` for diffusers' of 2023; ``layer``,
            ``layer_flat`` and ``head_flat`` for CLIP's linear layers and its projection only.
        part_prefix: the same for diffusers' names of parts of fused modules; None when the stock
            loader reads fused modules only.
        diffusers_prefix: what diffusers writes before names of the network.
        layouts: for text encoders, how whole checkpoints keep them; that they may do so as ComfyUI
            names them (:func:`host_prefix`) goes without saying.
        read_since: what of such files the stock loader learnt to read in a certain version.
        training: how its models are trained.
    """

    name: str
    title: str
    base_version: str
    architecture: str
    network: Architecture
    text_encoders: Mapping[str, Architecture]
    key_prefixes: Mapping[str, str]
    stock_forms: Mapping[str, tuple[str, ...]]
    part_prefix: str | None = None
    diffusers_prefix: str
    layouts: Mapping[str, tuple[Layout, ...]] = field(default_factory=dict)
    read_since: tuple[Since, ...] = ()
    training: Training

    def is_target(self, module_path: str) -> bool:
        """Whether a LoRA trains this module by default."""
        return self.training.is_target(module_path)


@cache
def table_of(name: str) -> ModuleTable:
    """The modules of a family as published."""
    family = families()[name]
    return built_in({NETWORK: family.network, **family.text_encoders})


def families() -> dict[str, Family]:
    """Every family by name."""
    from . import families as package

    return declared_objects(package, "FAMILY")


def components() -> list[str]:
    """The diffusion network, and every family's text encoders."""
    encoders = {name for family in families().values() for name in family.text_encoders}
    return [NETWORK, *sorted(encoders)]


def host_prefix(component: str) -> str:
    """What ComfyUI writes before module names of a component, in LoRAs and in checkpoints."""
    return "diffusion_model." if component == NETWORK else f"text_encoders.{component}.transformer."
