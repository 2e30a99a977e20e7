"""Pictures of a dataset with their captions and marks on one sheet, to look at or to keep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw

from ..core.lettering import Lines, draw_lines, one_line, wrapped
from ..core.protocols import Progress
from ..dataset.decode import decode
from ..dataset.items import Dataset, DatasetItem
from .review_page import Marks

COLUMNS, CELL_PX, GAP_PX, MOST_PICTURES = 5, 256, 14, 200
CAPTION_LINES, MARK_LINES, LETTERS = 5, 3, 14
PAPER, INK, FAINT = "#faf9f6", "#181818", "#787670"
LEVEL_INK = {"error": "#b22020", "warning": "#965e00", "info": "#3c5a8c"}


def draw_review(
    dataset: Dataset, marks: Marks, decisions: Sequence[str], progress: Progress
) -> torch.Tensor:
    """Draw the sheet.

    Args:
        dataset: the pictures; the first 200 are drawn.
        marks: findings of the lint by the picture's name.
        decisions: of each picture, empty where nothing was decided.
        progress: told after every picture.

    Returns:
        (1, H, W, 3) in 0..1.
    """
    shown = list(zip(dataset.items, decisions, strict=True))[:MOST_PICTURES]
    rows = [shown[at : at + COLUMNS] for at in range(0, len(shown), COLUMNS)]
    texts = [[_texts(item, decision, marks) for item, decision in row] for row in rows]
    heights = [CELL_PX + GAP_PX + max(sum(t.height_px for t, _ in cell) for cell in row)
               for row in texts]
    columns = min(COLUMNS, max(1, len(shown)))
    size = (columns * (CELL_PX + GAP_PX) + GAP_PX, sum(heights) + GAP_PX * (len(rows) + 1))
    sheet = Image.new("RGB", size, PAPER)
    draw, top = ImageDraw.Draw(sheet), GAP_PX
    for number, (row, row_texts, height) in enumerate(zip(rows, texts, heights, strict=True)):
        for column, (item, _) in enumerate(row):
            progress.check_cancelled()
            left = GAP_PX + column * (CELL_PX + GAP_PX)
            _paste(sheet, item, dataset.background, left, top)
            y = top + CELL_PX + 4
            for lines, ink in row_texts[column]:
                draw_lines(draw, lines, (left, y), ink)
                y += lines.height_px
            progress.update(number * COLUMNS + column + 1, len(shown))
        top += height + GAP_PX
    return torch.from_numpy(np.asarray(sheet, dtype=np.float32) / 255)[None]


def _texts(item: DatasetItem, decision: str, marks: Marks) -> list[tuple[Lines, str]]:
    """What is written below a picture, each with its ink."""
    name = f"{item.name}{f' ({decision})' if decision else ''}"
    caption = "no caption" if item.caption is None else item.caption or "empty caption"
    return [
        (_lines(name, 1), FAINT),
        (_lines(caption, CAPTION_LINES), INK if item.caption else LEVEL_INK["error"]),
        *((_lines(text, MARK_LINES), LEVEL_INK.get(level, INK))
          for level, text in marks.get(item.name, ())),
    ]  # fmt: skip


def _lines(text: str, most: int) -> Lines:
    return wrapped(one_line(text), CELL_PX, most_lines=most, size=LETTERS)


def _paste(sheet: Image.Image, item: DatasetItem, background: str, left: int, top: int) -> None:
    picture = decode(item.source, background).image
    picture.thumbnail((CELL_PX, CELL_PX), Image.Resampling.LANCZOS)
    room = ((CELL_PX - picture.width) // 2, CELL_PX - picture.height)
    sheet.paste(picture, (left + room[0], top + room[1]))
