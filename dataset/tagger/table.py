"""The list of tags that belongs to a tagger: ``selected_tags.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ...core.errors import HostError

GENERAL, CHARACTER, RATING, OTHER = "general", "character", "rating", "other"
# Danbooru's numbers; 9 is what WD taggers use for ratings. The rest (artist 1, copyright 3, …)
# is in no WD tagger and is treated like general tags.
_CATEGORIES = {"0": GENERAL, "4": CHARACTER, "9": RATING}
MOST_TAGS = 500_000
_NOWHERE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class TagTable:
    """What each value of a tagger's output means.

    Attributes:
        names: tags as the file writes them, with underscores; one for each output value.
        categories: GENERAL, CHARACTER, RATING or OTHER, in the same order.
    """

    names: tuple[str, ...]
    categories: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def of(self, category: str) -> np.ndarray:
        """(N,) positions of the tags of a category, ascending."""
        return self._places.get(category, _NOWHERE)

    @cached_property
    def _places(self) -> dict[str, np.ndarray]:
        """There are ten thousand tags, and they are asked for with every picture."""
        kinds = np.array(self.categories)
        return {kind: np.nonzero(kinds == kind)[0] for kind in set(self.categories)}


def read_table(path: Path) -> TagTable:
    """Read ``selected_tags.csv``: columns ``name`` and ``category``, one row for each output.

    Raises:
        HostError: it is not such a file.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(_rows(path, csv.DictReader(file)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unusable(path, f"cannot be read: {error}") from error
    if not rows:
        raise _unusable(path, "has no tags")
    return TagTable(tuple(name for name, _ in rows), tuple(category for _, category in rows))


def _rows(path: Path, reader: csv.DictReader[str]) -> Iterator[tuple[str, str]]:
    if not {"name", "category"} <= set(reader.fieldnames or ()):
        raise _unusable(path, "has no columns 'name' and 'category'")
    for number, row in enumerate(reader, start=1):
        name, category = row["name"], row["category"]
        if not name or category is None or number > MOST_TAGS:
            raise _unusable(path, f"is damaged in row {number}")
        yield name, _CATEGORIES.get(category.strip(), OTHER)


def _unusable(path: Path, what: str) -> HostError:
    return HostError(
        f"The tag list {path} {what}",
        expected="the selected_tags.csv that is published beside the tagger's model.onnx",
        remedy="Download it again and put it beside the model",
    )
