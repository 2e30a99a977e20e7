"""The pictures of a search, from the lowest strength to the highest, with the window in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image

from ..axis_values import number_text
from ..cells import Cell
from ..grid import FAINT, MARGIN_PX, MISSING
from .canvas import BROKEN, FALLING, WHOLE, Canvas
from .finding import Window

CELL_PX = 200
HEAD_PX, LABEL_PX, SCORE_PX, GAP_PX = 104, 92, 20, 6


def draw_strip(
    cells: Sequence[Cell],
    pictures: Mapping[int, Image.Image],
    scores: Mapping[int, float],
    window: Window,
    title: str,
    columns: int,
) -> Image.Image:
    """Draw one subject's pictures: a row per seed, a column per strength.

    Args:
        cells: of one subject.
        pictures, scores: by cell index; missing ones become grey.
        window: what was found, shown by a bar over the columns.
        title: the subject on one line.
        columns: how many columns the sheet has room for; the same for all subjects' sheets.
    """
    strengths = sorted({cell.settings.strength for cell in cells})
    rows = sorted({cell.row for cell in cells})
    size = _cell_size(cells)
    tall = size[1] + SCORE_PX + GAP_PX
    sheet = Canvas(
        LABEL_PX + max(columns, len(strengths)) * (size[0] + GAP_PX) + MARGIN_PX,
        HEAD_PX + len(rows) * tall + MARGIN_PX,
    )
    sheet.text((MARGIN_PX, 14), sheet.shortened(title, sheet.size[0] - 2 * MARGIN_PX, 20), 20)
    for column, strength in enumerate(strengths):
        left = LABEL_PX + column * (size[0] + GAP_PX)
        word, color = _zone(strength, window)
        sheet.box((left, HEAD_PX - 16), (left + size[0], HEAD_PX - 8), color)
        sheet.text((left, HEAD_PX - 22), number_text(strength), 18, anchor="ls")
        sheet.text((left + size[0], HEAD_PX - 22), word, 13, FAINT, "rs")
    for row in rows:
        seed = next(cell.settings.seed for cell in cells if cell.row == row)
        y = HEAD_PX + rows.index(row) * tall
        name = sheet.shortened(f"seed {seed}", LABEL_PX - 20, 14)
        sheet.text((MARGIN_PX, y + size[1] / 2), name, 14, anchor="lm")
    for cell in cells:
        column, row = strengths.index(cell.settings.strength), rows.index(cell.row)
        score = scores.get(cell.index)
        text = "not drawn" if score is None else f"{max(score, 0.0):.0%} left"
        corner = (LABEL_PX + column * (size[0] + GAP_PX), HEAD_PX + row * tall + size[1] + 3)
        sheet.text(corner, text, 13, FAINT)
    return _with_pictures(sheet.finished(), cells, pictures, strengths, rows, size)


def _with_pictures(
    sheet: Image.Image,
    cells: Sequence[Cell],
    pictures: Mapping[int, Image.Image],
    strengths: Sequence[float],
    rows: Sequence[int],
    size: tuple[int, int],
) -> Image.Image:
    grey = Image.new("RGB", size, MISSING)
    for cell in cells:
        picture = pictures.get(cell.index, grey)
        left = LABEL_PX + strengths.index(cell.settings.strength) * (size[0] + GAP_PX)
        top = HEAD_PX + rows.index(cell.row) * (size[1] + SCORE_PX + GAP_PX)
        sheet.paste(picture.resize(size, Image.Resampling.LANCZOS), (left, top))
    return sheet


def _cell_size(cells: Sequence[Cell]) -> tuple[int, int]:
    own = cells[0].settings
    factor = CELL_PX / max(own.width_px, own.height_px)
    return max(1, round(own.width_px * factor)), max(1, round(own.height_px * factor))


def _zone(strength: float, window: Window) -> tuple[str, str]:
    if strength <= window.last_coherent:
        return "whole", WHOLE
    if window.first_broken is not None and strength >= window.first_broken:
        return "broken", BROKEN
    if window.estimate is None:
        return "unknown", FAINT
    return "falling", FALLING
