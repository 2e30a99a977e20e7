"""How far each cell is from the picture of the model alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from ..sweep.cells import SweepPlan


def effects(plan: SweepPlan, files: Mapping[int, Path]) -> Iterator[tuple[int, float]]:
    """Index and effect of every cell that has a partner; two pictures are in memory at a time."""
    known: dict[tuple[Path, Path], float] = {}
    kept: tuple[Path, Image.Image] | None = None
    bases = plan.bases()
    # Cells of one base after each other, so that it is read once.
    for index, base in sorted(bases.items(), key=lambda pair: (pair[1], pair[0])):
        if index not in files or base not in files:
            continue
        pair = files[index], files[base]
        if pair not in known:
            if kept is None or kept[0] != pair[1]:
                kept = pair[1], _read(pair[1])
            own = kept[1] if pair[0] == pair[1] else _read(pair[0])
            known[pair] = picture_difference(own, kept[1])
        yield index, known[pair]


def picture_difference(picture: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of two pictures, 0..1."""
    first = np.asarray(picture, dtype=np.float32)
    return float(np.abs(first - np.asarray(other, dtype=np.float32)).mean()) / 255


def _read(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")
