"""What a model family is, as data; each file in ``families/`` declares one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from ..core.errors import HostError
from ..core.registry import declared_objects
from .architecture import Architecture
from .ir import NETWORK
from .table import ModuleTable, built_in


@dataclass(frozen=True, kw_only=True)
class Family:
    """A model family.

    Attributes:
        name: short name used in files and settings.
        title: what people call it.
        host_class: name of the class that ComfyUI builds for it.
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
        targets: regular expression over module paths; what a LoRA trains by default. Empty where
            training is not built yet.
        checkpointed: class names of blocks whose activations may be recomputed in backward.
        bucket_step_px: sides of training pictures are multiples of this at full resolution.
    """

    name: str
    title: str
    host_class: str
    base_version: str
    architecture: str
    network: Architecture
    text_encoders: Mapping[str, Architecture]
    key_prefixes: Mapping[str, str]
    stock_forms: Mapping[str, tuple[str, ...]]
    part_prefix: str | None = None
    diffusers_prefix: str
    targets: str = ""
    checkpointed: tuple[str, ...] = ()
    bucket_step_px: int = 64

    @property
    def trains(self) -> bool:
        """Whether it can be trained."""
        return bool(self.targets)

    def is_target(self, module_path: str) -> bool:
        """Whether a LoRA trains this module by default."""
        return re.search(self.targets, module_path) is not None


@cache
def table_of(name: str) -> ModuleTable:
    """The modules of a family as published."""
    family = families()[name]
    return built_in({NETWORK: family.network, **family.text_encoders})


def families() -> dict[str, Family]:
    """Every family by name."""
    from . import families as package

    return declared_objects(package, "FAMILY")


def family_of_class(host_class_names: Iterable[str]) -> Family:
    """Find the family of a model to train by the name of its class or base classes.

    Raises:
        HostError: no family knows this class.
    """
    names = list(host_class_names)
    for name in names:
        for family in families().values():
            if family.host_class == name and family.trains:
                return family
    known = ", ".join(sorted(family.title for family in families().values() if family.trains))
    raise HostError(
        f"The connected model is a '{names[0]}'",
        expected=f"a model of a family that LoRA Kiln can train: {known}",
        remedy="Connect a checkpoint of one of these families to the model input",
    )
