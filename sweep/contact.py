"""All pages of a sweep on one sheet, small, to see at a glance which page to open."""

from __future__ import annotations

import math
from collections.abc import Iterable

from PIL import Image, ImageDraw

from ..core.lettering import draw_lines, line_step, wrapped
from .cells import SweepPlan
from .grid import INK, MARGIN_PX, PAPER, Layout

LARGEST_SIDE_PX = 4096
LARGEST_PAGE_PX = 640
GAP_PX, LETTERS, LABEL_LINES = 18, 15, 2


def draw_contact(
    plan: SweepPlan, pages: Iterable[Image.Image], layout: Layout, title: str
) -> Image.Image:
    """Draw the contact sheet.

    Args:
        plan: the sweep.
        pages: its grid pictures in order; taken one by one.
        layout: of these pictures; only the cells are shown.
        title: line above.
    """
    box = layout.cells_box
    count = len(plan.page_labels)
    columns, size = _arrange(count, (box[2] - box[0], box[3] - box[1]))
    heading = wrapped(title, LARGEST_SIDE_PX, most_lines=1, size=20, smallest=14)
    label_height = LABEL_LINES * line_step(LETTERS) + 4
    top = 2 * MARGIN_PX + heading.height_px
    step = (size[0] + GAP_PX, size[1] + label_height + GAP_PX)
    rows = math.ceil(count / columns)
    sheet_size = (2 * MARGIN_PX + columns * step[0] - GAP_PX, top + rows * step[1])
    sheet = Image.new("RGB", sheet_size, PAPER)
    draw = ImageDraw.Draw(sheet)
    heading = wrapped(title, sheet.width - 2 * MARGIN_PX, most_lines=1, size=20, smallest=14)
    draw_lines(draw, heading, (MARGIN_PX, MARGIN_PX), INK)
    for number, page in enumerate(pages):
        left = MARGIN_PX + number % columns * step[0]
        upper = top + number // columns * step[1]
        label = wrapped(plan.page_labels[number], size[0], most_lines=LABEL_LINES, size=LETTERS)
        lowest = upper + label_height - 4 - label.height_px
        draw_lines(draw, label, (left, lowest), INK)
        small = page.convert("RGB").resize(size, Image.Resampling.LANCZOS, box=box)
        sheet.paste(small, (left, upper + label_height))
    return sheet


def _arrange(count: int, page: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    """How many pages stand in a row, and their size, so that the sheet is about square."""
    label = LABEL_LINES * line_step(LETTERS) + GAP_PX
    columns = min(count, max(1, round(math.sqrt(count * (page[1] + label) / page[0]))))
    rows = math.ceil(count / columns)
    scale = min(
        1.0,
        LARGEST_PAGE_PX / max(page),
        (LARGEST_SIDE_PX / columns - GAP_PX) / page[0],
        (LARGEST_SIDE_PX / rows - label) / page[1],
    )
    # Very many pages: a few pixels each, on a sheet that may then be taller.
    scale = max(scale, 24 / max(page))
    return columns, (max(1, round(page[0] * scale)), max(1, round(page[1] * scale)))
