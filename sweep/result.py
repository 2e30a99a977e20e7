"""A finished sweep: travels as KILN_SWEEP, holds no picture in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from .cells import SweepPlan


class StoredPictures(Mapping[int, Image.Image]):
    """Pictures by cell index, read from their files each time: a large sweep is gigabytes."""

    def __init__(self, files: Mapping[int, Path]) -> None:
        self.files = dict(files)

    def __getitem__(self, index: int) -> Image.Image:
        with Image.open(self.files[index]) as picture:
            return picture.convert("RGB")

    def __iter__(self) -> Iterator[int]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def __contains__(self, index: object) -> bool:
        return index in self.files


@dataclass(frozen=True)
class SweepResult:
    """A finished sweep.

    Attributes:
        plan: what was asked for.
        pictures: by cell index, hidden cells too; failed cells are missing.
        rows: the table, one row per cell of the grid that was tried.
        notes: what the person should know.
        folder: where everything was written.
        pages: the files of the grid pictures.
        diff_pages: the files of the difference pictures; none when they were not wanted.
        extras: what else was drawn: contact sheet and animated strip.
    """

    plan: SweepPlan
    pictures: Mapping[int, Image.Image]
    rows: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]
    folder: Path
    pages: tuple[Path, ...]
    diff_pages: tuple[Path, ...] = ()
    extras: tuple[Path, ...] = ()
