"""Drawing with smooth lines: everything twice as large, made smaller at the end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from ..grid import INK, PAPER

SCALE = 2
WHOLE, FALLING, BROKEN = "#7fa37a", "#e0a84c", "#b5432a"
"""A subject that is whole, falls apart, and is broken."""
Point = tuple[float, float]


class Canvas:
    """A sheet of paper; all coordinates and sizes in its final pixels."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self._sheet = Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
        self._draw = ImageDraw.Draw(self._sheet)

    def line(self, points: Sequence[Point], color: str, width: float = 1.0) -> None:
        """A line through points."""
        self._draw.line(
            [_large(point) for point in points], fill=color, width=max(1, round(width * SCALE)),
            joint="curve",
        )

    def dashed(self, start: Point, end: Point, color: str, width: float = 1.0) -> None:
        """A dashed straight line."""
        length = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1e-6)
        for number in range(int(length // 9) + 1):
            ends = [min((number * 9 + part) / length, 1.0) for part in (0, 5)]
            self.line([_between(start, end, share) for share in ends], color, width)

    def shade(self, points: Sequence[Point], color: str, opacity: float) -> None:
        """A polygon through which one sees."""
        mask = Image.new("L", self._sheet.size, 0)
        ImageDraw.Draw(mask).polygon([_large(p) for p in points], fill=round(255 * opacity))
        self._sheet.paste(Image.new("RGB", self._sheet.size, color), mask=mask)

    def box(self, corner: Point, end: Point, color: str) -> None:
        """A filled rectangle."""
        self._draw.rectangle((*_large(corner), *_large(end)), fill=color)

    def dot(self, center: Point, color: str, radius: float = 4.0, corners: int = 0) -> None:
        """A disc, or a regular polygon."""
        x, y = _large(center)
        r = radius * SCALE
        if corners:
            self._draw.regular_polygon((x, y, r * 1.25), corners, fill=color, outline=PAPER)
        else:
            self._draw.ellipse((x - r, y - r, x + r, y + r), fill=color, outline=PAPER)

    def text(
        self, corner: Point, text: str, size: int = 15, color: str = INK, anchor: str = "la"
    ) -> None:
        """One line; the anchor is Pillow's: horizontal l, m or r, vertical a, m or s."""
        self._draw.text(_large(corner), text, fill=color, font=_font(size * SCALE), anchor=anchor)

    def text_width(self, text: str, size: int = 15) -> float:
        """Width of one line."""
        return float(self._draw.textlength(text, font=_font(size * SCALE))) / SCALE

    def shortened(self, text: str, width: float, size: int = 15) -> str:
        """One line that fits."""
        line = " ".join(text.split())
        if self.text_width(line, size) <= width:
            return line
        while line and self.text_width(line + "…", size) > width:
            line = line[:-1]
        return line + "…"

    def finished(self) -> Image.Image:
        """The picture."""
        return self._sheet.resize(self.size, Image.Resampling.LANCZOS)


def _large(point: Point) -> Point:
    return point[0] * SCALE, point[1] * SCALE


def _between(start: Point, end: Point, share: float) -> Point:
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
