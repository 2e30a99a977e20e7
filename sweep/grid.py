"""The labelled grid picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from .cells import SweepPlan

SMALLEST_CELL_PX = 192
LARGEST_CELL_PX = 640
LARGEST_SIDE_PX = 12_000
"""All cells of a row or column together; a picture much larger opens nowhere."""
GAP_PX, MARGIN_PX = 6, 14
SMALLEST_LETTERS = 11
INK, FAINT, PAPER, MISSING = "#23201d", "#4d463f", "#faf7f2", "#b9b4ad"

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class _Layout:
    cell: tuple[int, int]
    label_width: int
    label_height: int
    title_height: int


def draw_page(
    plan: SweepPlan,
    page: int,
    pictures: Mapping[int, Image.Image],
    errors: Mapping[int, str],
    title: str,
) -> Image.Image:
    """Draw one page of the sweep.

    Args:
        plan: the sweep.
        page: number of the page, from 0.
        pictures: finished cells by index.
        errors: reasons of failed cells by index; they become grey.
        title: line above the grid.
    """
    cells = [cell for cell in plan.cells if cell.page == page]
    layout = _lay_out(plan, pictures)
    width, height = layout.cell
    columns, rows = len(plan.column_labels), len(plan.row_labels)
    sheet = Image.new(
        "RGB",
        (
            layout.label_width + columns * (width + GAP_PX) + MARGIN_PX,
            layout.title_height + layout.label_height + rows * (height + GAP_PX) + MARGIN_PX,
        ),
        PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    # The page's own values come first: a long title is cut at its end.
    heading = f"{plan.page_labels[page]}   {title}".strip()
    _write(draw, heading, (MARGIN_PX, MARGIN_PX), sheet.width - 2 * MARGIN_PX, 20, INK)
    top = layout.title_height + layout.label_height
    for column, label in enumerate(plan.column_labels):
        left = layout.label_width + column * (width + GAP_PX)
        _write(draw, label, (left, layout.title_height), width, 17, INK)
    for row, label in enumerate(plan.row_labels):
        middle = top + row * (height + GAP_PX) + height // 2 - 10
        _write(draw, label, (MARGIN_PX, middle), layout.label_width - MARGIN_PX - 6, 17, INK)
    for cell in cells:
        left = layout.label_width + cell.column * (width + GAP_PX)
        corner = (left, top + cell.row * (height + GAP_PX))
        _place(sheet, draw, corner, layout.cell, pictures.get(cell.index), errors.get(cell.index))
    return sheet


def _lay_out(plan: SweepPlan, pictures: Mapping[int, Image.Image]) -> _Layout:
    """The same for all pages, so that they lie on top of each other."""
    sizes = [picture.size for picture in pictures.values()]
    width, height = sizes[0] if sizes else (SMALLEST_CELL_PX, SMALLEST_CELL_PX)
    # By a whole factor, so that all pixels of a small picture grow alike.
    factor = max(1, -(-SMALLEST_CELL_PX // min(width, height)))
    room = min(
        LARGEST_CELL_PX / max(width, height),
        LARGEST_SIDE_PX / (len(plan.column_labels) * width),
        LARGEST_SIDE_PX / (len(plan.row_labels) * height),
    )
    scale = min(float(factor), room)
    probe = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    longest = max(probe.textlength(_one_line(label), _font(17)) for label in plan.row_labels)
    return _Layout(
        cell=(max(1, round(width * scale)), max(1, round(height * scale))),
        label_width=min(300, int(longest) + 1) + MARGIN_PX + 12,
        label_height=28,
        title_height=48,
    )


def _place(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    size: tuple[int, int],
    picture: Image.Image | None,
    error: str | None,
) -> None:
    if picture is not None:
        sheet.paste(picture.resize(size, Image.Resampling.LANCZOS), corner)
        return
    x, y = corner
    draw.rectangle((x, y, x + size[0] - 1, y + size[1] - 1), fill=MISSING)
    text = error or "not drawn"
    _write_lines(draw, text, (x + 8, y + 8), size[0] - 16, size[1] - 16)


def _write(
    draw: ImageDraw.ImageDraw, text: str, corner: tuple[int, int], width: int, size: int, ink: str
) -> None:
    """One line, in smaller letters or shortened until it fits."""
    line = _one_line(text)
    while size > SMALLEST_LETTERS and draw.textlength(line, _font(size)) > width:
        size -= 1
    draw.text(corner, _shortened(draw, line, width, _font(size)), fill=ink, font=_font(size))


def _write_lines(
    draw: ImageDraw.ImageDraw, text: str, corner: tuple[int, int], width: int, height: int
) -> None:
    font, lines, line = _font(13), [], ""
    for word in text.split():
        tried = f"{line} {word}".strip()
        if line and draw.textlength(tried, font) > width:
            lines.append(line)
            line = word
        else:
            line = tried
    lines.append(line)
    for number, full in enumerate(lines[: max(1, height // 16)]):
        shown = _shortened(draw, full, width, font)
        draw.text((corner[0], corner[1] + number * 16), shown, fill=FAINT, font=font)


def _shortened(draw: ImageDraw.ImageDraw, line: str, width: int, font: Font) -> str:
    if draw.textlength(line, font) <= width:
        return line
    while line and draw.textlength(line + "…", font) > width:
        line = line[:-1]
    return line + "…"


def _one_line(text: str) -> str:
    """Prompts have line breaks, whose width Pillow refuses to measure."""
    return " ".join(text.split())


@cache
def _font(size: int) -> Font:
    """Pillow's own scalable font: the same on every machine."""
    return ImageFont.load_default(size)
