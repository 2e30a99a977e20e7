"""Letters and colours of the score pictures, as in the grid."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from ..core.lettering import plain_font as font
from ..core.lettering import wrapped
from .grid import FAINT, INK, MISSING, PAPER

RUST, TEAL, SLATE, PALE, LINE = "#b5432a", "#2f6f6a", "#56688c", "#f1ebe1", "#d9d1c5"
__all__ = [
    "FAINT", "INK", "LINE", "MISSING", "PALE", "PAPER", "RUST", "SLATE", "TEAL", "font",
]  # fmt: skip

Rgb = tuple[int, int, int]


def write(
    draw: ImageDraw.ImageDraw, text: str, corner: tuple[float, float], width: float, size: int,
    ink: str = INK, anchor: str = "la",
) -> None:
    """One line of text that stays inside its width, cut with an ellipsis where it is too long."""
    lines = wrapped(text, int(width), most_lines=1, size=size, smallest=size)
    draw.text(corner, lines.lines[0], fill=ink, font=lines.font, anchor=anchor)


def mixed(low: str, high: str, share: float) -> Rgb:
    """A colour between two; 0 is the first."""
    first, second = _rgb(low), _rgb(high)
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def readable_on(colour: Rgb) -> str:
    """Dark or light letters, whichever stands out."""
    return INK if 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] > 140 else "#ffffff"


def short_text(value: float) -> str:
    """A figure in a few letters."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}".replace("-0.00", "0.00")


def round_values(low: float, high: float) -> list[float]:
    """Three to eight round numbers between two others, for the marks of an axis."""
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    digits = max(0, 1 - math.floor(math.log10(step)))
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(number * step, digits) for number in range(first, last + 1)]


def thumbnail(picture: Image.Image, side: int) -> Image.Image:
    """The picture inside a square of this side, small ones enlarged."""
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _rgb(colour: str) -> Rgb:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
