"""What a model family is, as data; each file in ``families/`` declares one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..core.errors import HostError
from ..core.registry import declared_objects


@dataclass(frozen=True, kw_only=True)
class Family:
    """A model family.

    Attributes:
        name: short name used in files and settings.
        title: what people call it.
        host_class: name of the class that ComfyUI builds for it.
        base_version: ``ss_base_model_version`` and friends in Kohya metadata.
        architecture: ``modelspec.architecture`` of a LoRA for it.
        key_prefix: prefix of the network's keys in a Kohya file.
        targets: regular expression over module paths; what a LoRA trains by default.
        checkpointed: class names of blocks whose activations may be recomputed in backward.
        bucket_step_px: sides of training pictures are multiples of this at full resolution.
    """

    name: str
    title: str
    host_class: str
    base_version: str
    architecture: str
    key_prefix: str
    targets: str
    checkpointed: tuple[str, ...]
    bucket_step_px: int

    def is_target(self, module_path: str) -> bool:
        """Whether a LoRA trains this module by default."""
        return re.search(self.targets, module_path) is not None


def families() -> dict[str, Family]:
    """Every family by name."""
    from . import families as package

    return declared_objects(package, "FAMILY")


def family_of_class(host_class_names: Iterable[str]) -> Family:
    """Find the family of a loaded model by the name of its class or base classes.

    Raises:
        HostError: no family knows this class.
    """
    names = list(host_class_names)
    for name in names:
        for family in families().values():
            if family.host_class == name:
                return family
    known = ", ".join(sorted(family.title for family in families().values()))
    raise HostError(
        f"The connected model is a '{names[0]}'",
        expected=f"a model of a family that LoRA Kiln can train: {known}",
        remedy="Connect a checkpoint of one of these families to the model input",
    )
