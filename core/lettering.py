"""Text in pictures: measured, wrapped, shortened, in letters that the machine has."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from PIL import ImageDraw, ImageFont

SMALLEST_LETTERS = 11
LONGEST_TEXT = 600
"""Letters of a label that are looked at; what is longer has no room anywhere."""
ELLIPSIS = "…"
OTHER_FONTS = (
    "NotoSansCJK-Regular.ttc", "msyh.ttc", "PingFang.ttc", "Hiragino Sans GB.ttc",
    "Arial Unicode.ttf", "seguisym.ttf", "segoeui.ttf", "NotoSans-Regular.ttf", "DejaVuSans.ttf",
)  # fmt: skip
"""Fonts of the systems, for letters that Pillow's own lacks; the first that has most is taken."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Lines:
    """Text that fits its room.

    Attributes:
        lines: from top to bottom.
        size: height of the letters in pixels.
        font_name: of the font that it was measured in.
    """

    lines: tuple[str, ...]
    size: int
    font_name: str

    @property
    def step_px(self) -> int:
        """From one line to the next."""
        return line_step(self.size)

    @property
    def height_px(self) -> int:
        """Of all lines."""
        return len(self.lines) * self.step_px

    @property
    def font(self) -> Font:
        """That draws them."""
        return _font(self.font_name, self.size)

    @property
    def width_px(self) -> int:
        """Of the longest line."""
        return round(max(_width(line, self.font) for line in self.lines))


def line_step(size: int) -> int:
    """Pixels from one line of such letters to the next."""
    return size + max(3, size // 4)


def one_line(text: str) -> str:
    """Without what cannot be measured or drawn: line breaks, control letters, half letters."""
    cut = text[: 4 * LONGEST_TEXT].encode("utf-8", "replace").decode("utf-8")
    kept = "".join(" " if unicodedata.category(char) in ("Cc", "Cn") else char for char in cut)
    return " ".join(kept.split())[:LONGEST_TEXT]


@lru_cache(maxsize=4096)
def wrapped(
    text: str, width_px: int, *, most_lines: int, size: int, smallest: int = SMALLEST_LETTERS
) -> Lines:
    """Break a text into lines, in smaller letters until it fits, and cut what never does.

    Args:
        text: any, with line breaks and without spaces too.
        width_px: room of a line.
        most_lines: at least 1.
        size: of the letters in pixels, where there is room.
        smallest: size at which the text is cut rather than made smaller.
    """
    clean = one_line(text)
    name = _font_name(clean)
    for letters in range(size, min(size, smallest) - 1, -1):
        lines, complete = _break(clean, width_px, most_lines, _font(name, letters))
        if complete:
            break
    return Lines(lines, letters, name)


def draw_lines(
    draw: ImageDraw.ImageDraw, lines: Lines, corner: tuple[int, int], ink: str
) -> None:
    """Draw lines below each other."""
    for number, line in enumerate(lines.lines):
        place = (corner[0], corner[1] + number * lines.step_px)
        draw.text(place, line, fill=ink, font=lines.font)


def plain_font(size: int) -> Font:
    """Pillow's own scalable font for figures: the same on every machine."""
    return _font("", size)


def text_width(text: str, size: int) -> float:
    """Width in pixels of a text in one line."""
    clean = one_line(text)
    return _width(clean, _font(_font_name(clean), size))


def _width(line: str, font: Font) -> float:
    return float(font.getlength(line)) if line else 0.0


def _break(clean: str, width: int, most: int, font: Font) -> tuple[tuple[str, ...], bool]:
    """The lines, and whether all of the text stands in them."""
    lines: list[str] = []
    rest = clean
    while rest and len(lines) < most - 1:
        line, rest = _first_line(rest, width, font)
        if not line:
            return ("",), False
        lines.append(line)
    last = _shortened(rest, width, font)
    return (*lines, last) if last or not lines else tuple(lines), last == rest


def _first_line(text: str, width: int, font: Font) -> tuple[str, str]:
    """What fits into one line, broken at a space where there is one, and the rest."""
    fitting = _longest_prefix(text, width, font)
    if fitting == len(text):
        return text, ""
    space = text.rfind(" ", 0, fitting + 1)
    end = space if space > 0 else fitting
    return text[:end].rstrip(), text[end:].lstrip()


def _shortened(line: str, width: int, font: Font) -> str:
    """With an ellipsis where it does not fit; nothing where not even that fits."""
    if _longest_prefix(line, width, font) == len(line):
        return line
    room = width - _width(ELLIPSIS, font)
    if room < 0:
        return ""
    shown = line[: _longest_prefix(line, room, font)] + ELLIPSIS
    # Letters that lean on each other may be wider together.
    return shown if _width(shown, font) <= width else ELLIPSIS


def _longest_prefix(text: str, width: float, font: Font) -> int:
    """How many letters from the first fit; a long text is never measured whole."""
    fits, tried = 0, 16
    while fits < len(text) and _width(text[:tried], font) <= width:
        fits, tried = min(tried, len(text)), 2 * tried
    above = min(tried, len(text) + 1)
    while above - fits > 1:
        middle = (fits + above) // 2
        if _width(text[:middle], font) <= width:
            fits = middle
        else:
            above = middle
    return fits


def _font_name(text: str) -> str:
    """Pillow's own font, the same on every machine, unless it lacks letters of the text."""
    if text.isascii():
        return ""
    return _font_having(frozenset(char for char in text if not char.isascii()))


@lru_cache(maxsize=1024)
def _font_having(letters: frozenset[str]) -> str:
    names: Sequence[str] = ("", *(name for name in OTHER_FONTS if _is_there(name)))
    return min(names, key=lambda name: sum(_lacks(name, char) for char in letters))


@lru_cache(maxsize=8192)
def _lacks(name: str, char: str) -> bool:
    """Whether a font draws the letter as the empty box that stands for all it does not have."""
    if char.isspace():
        return False
    font = _font(name, 20)
    return bytes(font.getmask(char)) == bytes(font.getmask("\U0010fffe"))


@cache
def _is_there(name: str) -> bool:
    try:
        ImageFont.truetype(name, 20)
    except OSError:
        return False
    return True


@cache
def _font(name: str, size: int) -> Font:
    return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)
