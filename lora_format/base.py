"""A base model's checkpoint as the table of modules that a LoRA shall fit, and as its weights.

Checkpoints of ComfyUI's own layout (``model.diffusion_model.``), and networks alone, in the model's
own naming. The text encoders' tables are the family's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..core.errors import LoraFormatError
from . import open_clip
from .architecture import Shapes
from .family import Family, families
from .ir import NETWORK, Target
from .read import Base
from .table import ModuleTable, network
from .tensors import TensorFile

NETWORK_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "net.", "")
ENCODER_PREFIXES = {
    "clip_l": (
        "conditioner.embedders.0.transformer.",
        "cond_stage_model.transformer.",
        "text_encoders.clip_l.transformer.",
    ),
    "clip_g": ("text_encoders.clip_g.transformer.", open_clip.PREFIX),
}


@dataclass(frozen=True)
class BaseFile:
    """A checkpoint; fulfils ``bake.WeightTable``.

    Attributes:
        base: its modules.
        file: its tensors.
        prefixes: what stands before module names, by component.
    """

    base: Base
    file: TensorFile
    prefixes: dict[str, str]

    def weight(self, target: Target) -> torch.Tensor:
        """The weight that a target names.

        Raises:
            LoraFormatError: the checkpoint has no such weight.
        """
        return self.parameter(target, "weight")

    def parameter(self, target: Target, name: str) -> torch.Tensor:
        """The weight or bias of what a target names.

        Raises:
            LoraFormatError: the checkpoint has no such parameter.
        """
        place = self.place(target, name)
        if place is None:
            raise LoraFormatError(
                f"{self.file.path.name} has no {name} for {target}",
                expected="a checkpoint that holds every module the LoRA changes",
                remedy="Name the whole checkpoint, not a part of it",
            )
        tensor = self.file[place.key]
        if place.third is not None:
            tensor = tensor.chunk(len(open_clip.PARTS))[place.third]
        tensor = tensor.T if place.transposed else tensor
        return tensor if target.rows is None else tensor[slice(*target.rows)]

    def place(self, target: Target, name: str) -> open_clip.Stored | None:
        """Where a parameter lies, if the checkpoint has it."""
        prefix = self.prefixes.get(target.component)
        if prefix is None:
            return None
        found: open_clip.Stored | None = open_clip.Stored(f"{target.module_path}.{name}")
        if prefix == open_clip.PREFIX:
            found = open_clip.stored(target.module_path, name)
        if found is None or prefix + found.key not in self.file.header.entries:
            return None
        return replace(found, key=prefix + found.key)


def read_base(path: Path) -> BaseFile:
    """Read a base model's header.

    Raises:
        LoraFormatError: it is no checkpoint of a known family.
    """
    file = TensorFile(path)
    prefix, shapes = _network_shapes(file)
    family = family_of_shapes(shapes, path.name)
    networks = {NETWORK: network(NETWORK, type(family.network), shapes)}
    prefixes = {NETWORK: prefix}
    for component, kind in family.text_encoders.items():
        networks[component] = network(component, type(kind), kind.shapes())
        for candidate in ENCODER_PREFIXES.get(component, ()):
            if any(key.startswith(candidate) for key in file.header.entries):
                prefixes[component] = candidate
    return BaseFile(Base(family=family.name, table=ModuleTable(networks)), file, prefixes)


def family_of_shapes(shapes: Shapes, name: str) -> Family:
    """The family of a network whose modules are known.

    Sizes need not be a published model's: what counts is the kind of network, and the width of the
    text that it takes, or of its tokens.

    Raises:
        LoraFormatError: it is of no known kind.
    """
    whole = set(shapes)
    scored: list[tuple[float, Family]] = []
    for family in families().values():
        published = family.network.shapes()
        shared = [path for path in published if path in whole]
        alike = sum(len(shapes[path]) == len(published[path]) for path in shared)
        equal = sum(shapes[path] == published[path] for path in shared)
        if alike >= 0.5 * len(whole):
            scored.append((alike + equal, family))
    if not scored:
        raise LoraFormatError(
            f"{name} is no model of a known family",
            expected="one of: " + ", ".join(family.title for family in families().values()),
            remedy="Name a checkpoint in ComfyUI's own layout",
        )
    return max(scored, key=lambda item: item[0])[1]


def _network_shapes(file: TensorFile) -> tuple[str, dict[str, tuple[int, ...]]]:
    for prefix in NETWORK_PREFIXES:
        pattern = re.compile(re.escape(prefix) + r"(.+)\.weight")
        found = {
            match[1]: entry.shape
            for key, entry in file.header.entries.items()
            if (match := pattern.fullmatch(key))
        }
        if len(found) > 1 and (prefix or not any(p in key for p in NETWORK_PREFIXES[:2]
                                                 for key in file.header.entries)):
            return prefix, found
    return "", {}
