"""Two checkpoints of one model, parameter by parameter; only one pair is in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ..core.errors import LoraFormatError
from .base import BaseFile
from .family import families
from .ir import NETWORK, Target

WEIGHT, BIAS = "weight", "bias"


@dataclass(frozen=True, eq=False)
class Compared:
    """A parameter of two models.

    Attributes:
        target: its module.
        tuned: of the model that was changed.
        original: of the model it was made of.
        kind: ``weight`` or ``bias``.
    """

    target: Target
    tuned: torch.Tensor
    original: torch.Tensor
    kind: str = WEIGHT


@dataclass
class Checkpoints:
    """A changed model beside the one it was made of.

    Attributes:
        tuned: the changed one.
        original: the other.
        text_encoders: whether to compare these as well.
    """

    tuned: BaseFile
    original: BaseFile
    text_encoders: bool = True

    def __post_init__(self) -> None:
        one, two = (families()[file.base.family].title for file in (self.tuned, self.original))
        if one != two:
            raise LoraFormatError(
                f"{self.tuned.file.path.name} is {one}, and {self.original.file.path.name} is "
                f"{two}",
                expected="two models of one kind",
                remedy="Name the model that the tuned one was made of",
            )
        for file in (self.tuned, self.original):
            file.refuse_quantised("use the Extract LoRA node")

    def __len__(self) -> int:
        """How many pairs there are."""
        return sum(1 for _ in self._places())

    def __iter__(self) -> Iterator[Compared]:
        """All parameters that both have; tensors are opened one pair after the other."""
        for target, kind in self._places():
            yield Compared(
                target, self.tuned.parameter(target, kind), self.original.parameter(target, kind),
                kind,
            )

    def uncomparable(self) -> list[str]:
        """What a LoRA cannot express: modules that one lacks, and loose parameters that differ."""
        lacking = [
            f"{target} ({kind}) is only in {has.file.path.name}"
            for has, lacks in ((self.tuned, self.original), (self.original, self.tuned))
            for target, kind in _parameters(has, self._components())
            if has.place(target, kind) and not lacks.place(target, kind)
        ]
        return lacking + [f"{key} differs and is no module's" for key in self._loose()]

    def _places(self) -> Iterator[tuple[Target, str]]:
        for target, kind in _parameters(self.original, self._components()):
            if self.tuned.place(target, kind) and self.original.place(target, kind):
                yield target, kind

    def _components(self) -> list[str]:
        """The network, and text encoders that both files have."""
        both = [name for name in self.original.prefixes if name in self.tuned.prefixes]
        return both if self.text_encoders else [NETWORK]

    def _loose(self) -> Iterator[str]:
        """Parameters of the network that belong to no module, and differ."""
        prefix, other = self.original.prefixes[NETWORK], self.tuned.prefixes[NETWORK]
        for key in self.original.file.header.entries:
            name = key.removeprefix(prefix)
            if not key.startswith(prefix) or name.endswith((".weight", ".bias")):
                continue
            twin = self.tuned.file.header.entries.get(other + name)
            if twin and not _equal(self.original.file[key], self.tuned.file[other + name]):
                yield name


def _parameters(file: BaseFile, components: list[str]) -> Iterator[tuple[Target, str]]:
    for component in components:
        for path in file.base.table[component].shapes:
            yield Target(component, path), WEIGHT
            yield Target(component, path), BIAS


def _equal(one: torch.Tensor, two: torch.Tensor) -> bool:
    return one.shape == two.shape and torch.equal(one.to(torch.float32), two.to(torch.float32))
