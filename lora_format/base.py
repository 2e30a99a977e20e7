"""A base model's checkpoint as the table of modules that a LoRA shall fit, and as its weights.

Checkpoints of ComfyUI's own layout (``model.diffusion_model.``), and networks alone, in the model's
own naming. The text encoders' tables are the family's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from ..core.errors import LoraFormatError, shorten
from .architecture import Shapes
from .family import Family, families, host_prefix
from .ir import NETWORK, Target
from .read import Base
from .stored import Layout, Stored
from .table import ModuleTable, network
from .tensors import TensorFile

NETWORK_PREFIXES = ("model.diffusion_model.", host_prefix(NETWORK), "net.", "")
SCALED = re.compile(r"\.(scale_weight|weight_scale|scale_input|comfy_quant)$|(^|\.)scaled_fp8$")
"""Keys beside weights that mean nothing without them."""


@dataclass(frozen=True)
class BaseFile:
    """A checkpoint; fulfils ``bake.WeightTable``.

    Attributes:
        base: its modules.
        file: its tensors.
        layouts: how it keeps each component that it has.
    """

    base: Base
    file: TensorFile
    layouts: Mapping[str, Layout]

    @property
    def prefixes(self) -> dict[str, str]:
        """What stands before a component's keys."""
        return {component: layout.prefix for component, layout in self.layouts.items()}

    def weight(self, target: Target) -> torch.Tensor:
        """The weight that a target names.

        Raises:
            LoraFormatError: the checkpoint has no such weight, or is quantised.
        """
        self.refuse_quantised("connect the model to the node of the same name")
        return self.parameter(target, "weight")

    def refuse_quantised(self, remedy: str) -> None:
        """Refuse weights that are to be multiplied with scales.

        Args:
            remedy: what else to do, which takes the weights as ComfyUI reads them.

        Raises:
            LoraFormatError: the checkpoint is quantised.
        """
        if self._scales:
            raise LoraFormatError(
                f"{self.file.path.name} is quantised: its weights are to be multiplied with "
                f"scales ({shorten(self._scales, 1)})",
                expected="a checkpoint in fp16, bf16 or fp32",
                remedy=f"Name the checkpoint it was made of, or {remedy}, which takes the weights "
                "as ComfyUI reads them",
            )

    @cached_property
    def _scales(self) -> list[str]:
        return [key for key in self.file.header.entries if SCALED.search(key)]

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
            tensor = tensor.chunk(3)[place.third]
        tensor = tensor.T if place.transposed else tensor
        return tensor if target.rows is None else tensor[slice(*target.rows)]

    def place(self, target: Target, name: str) -> Stored | None:
        """Where a parameter lies, if the checkpoint has it."""
        layout = self.layouts.get(target.component)
        found = layout.stored(target.module_path, name) if layout else None
        if layout is None or found is None:
            return None
        key = layout.prefix + found.key
        return replace(found, key=key) if key in self.file.header.entries else None


def read_base(path: Path) -> BaseFile:
    """Read a base model's header.

    Raises:
        LoraFormatError: it is no checkpoint of a known family.
    """
    file = TensorFile(path)
    prefix, shapes = _network_shapes(file)
    family = family_of_shapes(shapes, path.name)
    networks = {NETWORK: network(NETWORK, type(family.network), shapes)}
    layouts = {NETWORK: Layout(prefix)}
    for component, kind in family.text_encoders.items():
        networks[component] = network(component, type(kind), kind.shapes())
        for layout in (*family.layouts.get(component, ()), Layout(host_prefix(component))):
            if any(key.startswith(layout.prefix) for key in file.header.entries):
                layouts[component] = layout
    return BaseFile(Base(family=family.name, table=ModuleTable(networks)), file, layouts)


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
        if whole and alike >= 0.5 * len(whole):
            scored.append((alike + equal, family))
    if not scored:
        raise LoraFormatError(
            f"{name} is no model of a known family",
            expected="one of: " + ", ".join(family.title for family in families().values()),
            remedy="Name a checkpoint in ComfyUI's own layout",
        )
    return max(scored, key=lambda item: item[0])[1]


def _network_shapes(file: TensorFile) -> tuple[str, dict[str, tuple[int, ...]]]:
    nested = any(host_prefix(NETWORK) in key for key in file.header.entries)
    for prefix in NETWORK_PREFIXES:
        if nested and not prefix:
            break  # What stands beside a network is none of its modules.
        pattern = re.compile(re.escape(prefix) + r"(.+)\.weight")
        found = {
            match[1]: entry.shape
            for key, entry in file.header.entries.items()
            if (match := pattern.fullmatch(key))
        }
        if len(found) > 1:
            return prefix, found
    return "", {}
