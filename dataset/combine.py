"""Several datasets as one, each shown more or less often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..core.errors import ConfigError, shorten
from .colour import hex_colour
from .items import ROLES, Dataset, DatasetItem, Fault, Origin
from .metadata import LEAST_REPEATS, MOST_REPEATS, MOST_WEIGHT

KEEP = "keep"
"""Instead of a role: each picture keeps its own."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the datasets, and what is changed about it.

    Attributes:
        dataset: the pictures.
        repeats: how often each is shown, times its own repeats.
        weight: how much each counts in the loss, times its own weight.
        role: one of :data:`.items.ROLES`, or :data:`KEEP`.
    """

    dataset: Dataset
    repeats: float = 1.0
    weight: float = 1.0
    role: str = KEEP

    def __post_init__(self) -> None:
        _require("repeats", self.repeats, LEAST_REPEATS, MOST_REPEATS)
        _require("weight", self.weight, 0.0, MOST_WEIGHT)
        if self.role not in (KEEP, *ROLES):
            raise ConfigError(
                f"role is {self.role!r}",
                expected=", ".join((KEEP, *ROLES)),
                remedy="Choose one of these",
            )

    def items(self) -> list[DatasetItem]:
        """The pictures as they are after the changes."""
        if (self.repeats, self.weight, self.role) == (1, 1, KEEP):
            return list(self.dataset.items)
        return [
            replace(
                item,
                repeats=item.repeats * self.repeats,
                weight=item.weight * self.weight,
                role=item.role if self.role == KEEP else self.role,
            )
            for item in self.dataset.items
        ]


def combine(parts: Sequence[Part], name: str) -> Dataset:
    """Put datasets one after the other.

    Names that several have are preceded by the name of their dataset. Transparent parts get the
    background of the first dataset; where another had chosen otherwise, that is told.

    Args:
        parts: at least one.
        name: what the whole is called.
    """
    items = [(part.dataset.name, item) for part in parts for item in part.items()]
    datasets = [part.dataset for part in parts]
    notes = [note for dataset in datasets for note in _own_notes(dataset, len(datasets) > 1)]
    return Dataset(
        tuple(_unique(items)),
        name,
        datasets[0].background,
        (*notes, *_conflicts(datasets)),
        origins=_origins(datasets),
        faults=tuple({_key(f): f for dataset in datasets for f in dataset.faults}.values()),
    )


def _origins(datasets: Sequence[Dataset]) -> tuple[Origin, ...]:
    found: list[Origin] = []
    for dataset in datasets:
        found += [origin for origin in dataset.origins if origin not in found]
    return tuple(found)


def _key(fault: Fault) -> tuple[str, str]:
    return str(fault.origin.root), fault.file


def _unique(items: Sequence[tuple[str, DatasetItem]]) -> list[DatasetItem]:
    """The pictures under names of which there is only one each."""
    count: dict[str, int] = {}
    for _, item in items:
        count[item.name] = count.get(item.name, 0) + 1
    taken = {name for name, times in count.items() if times == 1}
    named = []
    for dataset, item in items:
        if count[item.name] > 1:
            item = replace(item, name=_free(f"{dataset}/{item.name}", taken))
            taken.add(item.name)
        named.append(item)
    return named


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free


def _own_notes(dataset: Dataset, several: bool) -> list[str]:
    return [f"{dataset.name}: {note}" if several else note for note in dataset.notes]


def _conflicts(datasets: Sequence[Dataset]) -> list[str]:
    notes = []
    first = datasets[0].background
    others = [d.name for d in datasets if hex_colour(d.background) != hex_colour(first)]
    if others:
        notes.append(
            f"Transparent parts get the background of the first dataset, {first}, also in "
            f"{shorten(others)}."
        )
    seen: set[tuple[str, str]] = set()
    twice: list[str] = []
    for dataset in datasets:
        own = {(str(it.origin.root), it.file) for it in dataset.items if it.origin is not None}
        twice += sorted(file for root, file in own if (root, file) in seen)
        seen |= own
    if twice:
        notes.append(f"{len(twice)} pictures are in several of the datasets: {shorten(twice)}.")
    return notes


def _require(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(
            f"{name} is {value}",
            expected=f"a number from {low:g} to {high:g}",
            remedy=f"Set {name} within this range; 1 leaves it as it is",
        )
