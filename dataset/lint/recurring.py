"""What most pictures have at the same place: a border colour, a logo, a thing on the table.

Found by comparing colours cell by cell, without any model. So a thing that wanders from place to
place, or is lit differently each time, is not seen; a face in the middle of every portrait mostly
is not either, because its cells differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..colour import Rgb
from .looks import SMALL_SIDE, PictureLook

MOST, FEWEST = 0.6, 5
"""Of the pictures: what this part of them has in common is called recurring; of at least five."""
_CELL_LEVELS, _BORDER_LEVELS, _EVEN = 24, 20, 0.9
_LARGEST_PATCH, _SMALLEST_PATCH, _PATCH_FITS = 0.25, 2, 0.8
_LOOKED_AT = 1024
"""Pictures evenly spread over a dataset, as many as it takes to know what most of them have."""


@dataclass(frozen=True)
class CommonBorder:
    """A border of one colour that many pictures have.

    Attributes:
        colour: of the border.
        pictures: numbers of the pictures that have it.
    """

    colour: Rgb
    pictures: tuple[int, ...]


@dataclass(frozen=True)
class Patch:
    """Something that many pictures have at the same place.

    Attributes:
        colour: the mean of it.
        left: corners as parts of width and height, 0..1.
        top: likewise.
        right: likewise.
        bottom: likewise.
        pictures: numbers of the pictures that have it.
    """

    colour: Rgb
    left: float
    top: float
    right: float
    bottom: float
    pictures: tuple[int, ...]

    @property
    def place(self) -> str:
        """Where it is, in words."""
        down = (self.top + self.bottom) / 2
        across = (self.left + self.right) / 2
        row = "top" if down < 1 / 3 else "bottom" if down > 2 / 3 else "middle"
        column = "left" if across < 1 / 3 else "right" if across > 2 / 3 else "middle"
        return "in the middle" if row == column else f"at the {row} {column}"


def common_border(looks: Sequence[PictureLook]) -> CommonBorder | None:
    """The border colour that most pictures have; None where there is none."""
    even = [n for n, look in enumerate(looks) if look.border.share >= _EVEN]
    if len(even) < max(FEWEST, MOST * len(looks)):
        return None
    colours = np.array([looks[n].border.colour for n in even], dtype=np.int16)
    # The median, or the nearest to it that is there: with two colours it may lie between them.
    for middle in (np.median(colours, axis=0), _most_frequent(colours)):
        close = np.abs(colours - middle).max(-1) <= _BORDER_LEVELS
        if close.sum() >= max(FEWEST, MOST * len(looks)):
            red, green, blue = (round(float(v)) for v in colours[close].mean(0))
            having = tuple(n for n, fits in zip(even, close, strict=True) if fits)
            return CommonBorder((red, green, blue), having)
    return None


def _most_frequent(colours: np.ndarray) -> np.ndarray:
    values, counts = np.unique(colours // 32, axis=0, return_counts=True)
    middle: np.ndarray = values[counts.argmax()] * 32 + 16
    return middle


def common_patches(looks: Sequence[PictureLook], ground: Rgb | None) -> list[Patch]:
    """Small places where most pictures are alike, the largest first.

    Args:
        looks: of all pictures.
        ground: the colour that most have as their border, which is not a thing.
    """
    if len(looks) < FEWEST:
        return []
    step = max(1, len(looks) // _LOOKED_AT)
    some = np.stack([look.cells for look in looks[::step]])
    usual = np.median(some, axis=0)
    alike = np.zeros((SMALL_SIDE, SMALL_SIDE))
    for cells in some:
        alike += np.abs(cells - usual).max(-1) <= _CELL_LEVELS
    common = alike / len(some) >= MOST
    if common.mean() > MOST:
        return []  # All of the picture is alike: near duplicates, or one composition.
    if ground is not None:
        common &= np.abs(usual - np.array(ground)).max(-1) > _BORDER_LEVELS
    patches = [_patch(looks, usual, cells) for cells in _regions(common)]
    found = [one for one in patches if len(one.pictures) >= max(FEWEST, MOST * len(looks))]
    return sorted(found, key=lambda one: -(one.right - one.left) * (one.bottom - one.top))


def _regions(common: np.ndarray) -> Iterator[np.ndarray]:
    """(n, 2) rows and columns of cells that touch, of a size that a thing has."""
    left = {(int(row), int(column)) for row, column in np.argwhere(common)}
    while left:
        waiting, region = [left.pop()], []
        while waiting:
            row, column = waiting.pop()
            region.append((row, column))
            for near in ((row - 1, column), (row + 1, column), (row, column - 1),
                         (row, column + 1)):
                if near in left:
                    left.remove(near)
                    waiting.append(near)
        if _SMALLEST_PATCH <= len(region) <= _LARGEST_PATCH * common.size:
            yield np.array(sorted(region))


def _patch(looks: Sequence[PictureLook], usual: np.ndarray, cells: np.ndarray) -> Patch:
    rows, columns = cells[:, 0], cells[:, 1]
    wanted = usual[rows, columns]
    having = tuple(
        number for number, look in enumerate(looks)
        if (np.abs(look.cells[rows, columns] - wanted).max(-1) <= _CELL_LEVELS).mean()
        >= _PATCH_FITS
    )
    red, green, blue = (round(float(value)) for value in wanted.mean(0))
    return Patch(
        (red, green, blue), columns.min() / SMALL_SIDE, rows.min() / SMALL_SIDE,
        (columns.max() + 1) / SMALL_SIDE, (rows.max() + 1) / SMALL_SIDE, having,
    )
