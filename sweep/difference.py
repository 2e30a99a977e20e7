"""Where a picture differs from the one without the LoRA, as a heat map over the picture in grey.

The measure is the colour difference of CIE 1976 (Euclidean distance in CIELAB, D65; CIE 15) of
the two pictures after a slight blur, as S-CIELAB filters before it compares (Zhang and Wandell
1996): single noisy pixels, which nobody sees, count less than areas. The scale is the same for all
cells, pages and sweeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from ..core.lettering import draw_lines, line_step, text_width, wrapped
from .cells import Cell, SweepPlan
from .grid import FAINT, HEADING_LETTERS, MARGIN_PX, Layout
from .lab import to_lab

Array = NDArray[np.float32]

BLUR_PX = 1.0
INVISIBLE, TOP = 2.0, 60.0
"""Differences below the first are not coloured; from the second on the colour stays the same."""
TICKS = (2, 5, 10, 20, 40, 60)
CELL_DIMMED, STRONGEST = 0.55, 0.75
"""The grey under the colours, and the share of the strongest: shapes stay to be seen."""
_RAMP = ((0.0, (70, 30, 140)), (0.3, (190, 40, 110)), (0.6, (248, 120, 40)), (1.0, (255, 240, 130)))
"""Heat colours by place on the scale; ever lighter, so that they read without colour vision."""
LEGEND_PX = 440
FOOTER_PX = 62
CAPTION_LETTERS = 12
BASES_KEPT = 8
SAME, NOTHING_TO_COMPARE = "without the LoRA", "nothing to compare it with was drawn"


def colour_difference(picture: Image.Image, other: Image.Image) -> Array:
    """CIELAB distance per pixel: (height, width); 2 is hardly seen, black to white is 100.

    Args:
        picture: RGB.
        other: RGB, of the same size.
    """
    first, second = (_lab(p.filter(ImageFilter.GaussianBlur(BLUR_PX))) for p in (picture, other))
    distance: Array = np.sqrt(np.square(first - second).sum(-1))
    return distance


def heat_map(picture: Image.Image, difference: Array) -> Image.Image:
    """The picture in dim grey, under the colours of the differences.

    Args:
        picture: RGB.
        difference: (height, width) from :func:`colour_difference`.
    """
    grey = np.asarray(picture.convert("L"), dtype=np.float32)[..., None] * CELL_DIMMED
    # Fades in over the first few units, so that nothing flickers around the threshold.
    opacity = np.clip((difference - INVISIBLE) / (2 * INVISIBLE), 0, 1)[..., None] * STRONGEST
    levels = np.clip(_place(difference) * 255, 0, 255).astype(np.uint8)
    mixed = grey * (1 - opacity) + _colours()[levels] * opacity
    return Image.fromarray(np.clip(np.rint(mixed), 0, 255).astype(np.uint8))


@dataclass
class DifferencePainter:
    """Paints the cells of a page, see ``grid.draw_sheet``.

    Attributes:
        plan: the sweep.
        pictures: finished cells by index.
    """

    plan: SweepPlan
    pictures: Mapping[int, Image.Image]
    _bases: dict[int, int] = field(init=False)
    _resized: dict[int, Image.Image] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._bases = self.plan.bases()

    def __call__(self, cell: Cell, size: tuple[int, int]) -> Image.Image | None:
        """The cell's heat map with its mean; None without picture or partner."""
        base = self._bases.get(cell.index)
        if base is None or base not in self.pictures or cell.index not in self.pictures:
            return None
        other = self._base_picture(base, size)
        if base == cell.index:
            painted = heat_map(other, np.zeros((size[1], size[0]), np.float32))
            return _captioned(painted, SAME)
        picture = _resized(self.pictures[cell.index], size)
        difference = colour_difference(picture, other)
        return _captioned(heat_map(picture, difference), f"mean {float(difference.mean()):.1f}")

    def reasons(self, errors: Mapping[int, str]) -> dict[int, str]:
        """Why cells are grey, by index."""
        return {c.index: errors.get(c.index) or NOTHING_TO_COMPARE for c in self.plan.cells}

    def _base_picture(self, index: int, size: tuple[int, int]) -> Image.Image:
        """Kept for the cells beside it, as small as it is drawn."""
        if index not in self._resized:
            while len(self._resized) >= BASES_KEPT:
                self._resized.pop(next(iter(self._resized)))
            self._resized[index] = _resized(self.pictures[index], size)
        return self._resized[index]


def draw_legend(sheet: Image.Image, layout: Layout) -> None:
    """The scale, into the room that the layout leaves below the cells."""
    draw = ImageDraw.Draw(sheet)
    left = MARGIN_PX
    width = min(LEGEND_PX, sheet.width - 2 * left)
    top = sheet.height - FOOTER_PX
    ramp = np.linspace(0, 1, width, dtype=np.float32)
    values = np.broadcast_to(ramp**2 * TOP, (14, width)).astype(np.float32)
    sheet.paste(heat_map(Image.new("RGB", (width, 14), "#606060"), values), (left, top))
    for tick in TICKS:
        text = f"{tick}+" if tick == TOP else str(tick)
        wide = text_width(text, HEADING_LETTERS)
        at = left + min(float(_place(np.float32(tick))) * width - wide / 2, width - wide)
        lines = wrapped(text, 99, most_lines=1, size=HEADING_LETTERS)
        draw_lines(draw, lines, (round(at), top + 15), FAINT)
    words = (
        "colour difference (CIELAB) to the picture without the LoRA, all else equal; "
        "below 2 it is hardly seen"
    )
    beside = sheet.width - 2 * left - width - 24
    if beside >= LEGEND_PX / 2:
        lines = wrapped(words, beside, most_lines=2, size=HEADING_LETTERS)
        draw_lines(draw, lines, (left + width + 24, top), FAINT)
    else:
        room = sheet.width - 2 * left
        lines = wrapped(words, room, most_lines=1, size=HEADING_LETTERS, smallest=9)
        draw_lines(draw, lines, (left, top + 17 + line_step(HEADING_LETTERS)), FAINT)


def _place(difference: Array | np.float32) -> Array:
    """Place on the scale, 0..1: its root, so that small differences can be told apart too."""
    place: Array = np.sqrt(np.clip(difference / TOP, 0, 1))
    return place


@cache
def _colours() -> Array:
    """(256, 3) from small to large."""
    steps = np.linspace(0, 1, 256)
    places = [place for place, _ in _RAMP]
    channels = [np.interp(steps, places, [colour[n] for _, colour in _RAMP]) for n in range(3)]
    return np.stack(channels, -1).astype(np.float32)


def _lab(picture: Image.Image) -> Array:
    """(height, width, 3) CIELAB."""
    return to_lab(np.asarray(picture))


def _resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _captioned(picture: Image.Image, text: str) -> Image.Image:
    """A line in the lower left corner, on black so that it can be read on any colour."""
    room = picture.width - 10
    lines = wrapped(text, room, most_lines=1, size=CAPTION_LETTERS, smallest=9)
    if picture.height < 2 * lines.height_px or not lines.lines[0]:
        return picture
    draw = ImageDraw.Draw(picture)
    top = picture.height - lines.height_px - 3
    draw.rectangle((0, top, lines.width_px + 9, picture.height - 1), fill="#000000")
    draw_lines(draw, lines, (5, top), "#ffffff")
    return picture
