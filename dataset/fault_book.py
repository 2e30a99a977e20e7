"""Collects what is wrong with a folder's files, so that all of it can be told at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from ..core.errors import DatasetError
from .items import Dataset, Fault, Origin
from .mask_files import masked_stem, stem_of

T = TypeVar("T")
_MOST_TOLD = 5


class FaultBook:
    """The faults of one folder, in the order in which they were met.

    Args:
        origin: the folder.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._faults: dict[str, Fault] = {}

    def add(self, file: str, error: DatasetError) -> None:
        """Note a file that cannot be used; the first thing said about it counts."""
        self._faults.setdefault(file, Fault(self._origin, file, error))

    def attempt(self, file: str, make: Callable[[], T]) -> T | None:
        """What ``make`` returns; None, and a fault, where the file is no good."""
        try:
            return make()
        except DatasetError as error:
            self.add(file, error)
            return None

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All of them."""
        return tuple(self._faults.values())


def refuse_faults(faults: Sequence[Fault], name: str) -> None:
    """Stop a scan because of them, all told in one error.

    Raises:
        DatasetError: there is one or more.
    """
    if len(faults) == 1:
        raise faults[0].error
    if faults:
        raise DatasetError(
            f"{len(faults)} files of {name} cannot be used: {_told(faults)}",
            expected="files that can all be read",
            remedy="Mend them or take them out of the folder; with bad_files set to report, the "
            "node leaves them out and lists them all",
        )


def require_no_faults(dataset: Dataset) -> None:
    """Stop a training because of what a scan had left out.

    Raises:
        DatasetError: there is a fault.
    """
    if dataset.faults:
        raise DatasetError(
            f"{len(dataset.faults)} files of '{dataset.name}' could not be read: "
            f"{_told(dataset.faults)}",
            expected="a dataset without bad files to train on",
            remedy="Mend them, or move them into a folder named rejected; Lint Dataset "
            "(KilnLintDataset) does that for you",
        )


def without_faults(dataset: Dataset) -> Dataset:
    """The rest of a dataset, for a person who trains anyway.

    A picture whose mask is a fault goes too: without it, what the mask hides would be learned.
    """
    masked = {(fault.origin, masked_stem(fault.file)) for fault in dataset.faults}
    items = [
        item for item in dataset.items
        if (item.origin, stem_of(item.file)) not in masked or not item.file
    ]
    return replace(dataset, items=tuple(items), faults=())


def _told(faults: Sequence[Fault]) -> str:
    told = [fault.error.found.rstrip(" .") for fault in faults[:_MOST_TOLD]]
    rest = len(faults) - len(told)
    return "; ".join(told) + (f"; and {rest} more" if rest else "")
