"""Every score as a small map over rows and columns, so that one sees where it turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image, ImageDraw

from .cells import Cell, SweepPlan
from .ink import (
    FAINT,
    INK,
    MISSING,
    PALE,
    PAPER,
    RUST,
    SLATE,
    TEAL,
    font,
    mixed,
    readable_on,
    short_text,
    write,
)
from .pareto import Choice
from .score import Score, Scored, scores

CELL_W, CELL_H, GAP = 76, 38, 3
MARGIN, LABEL_W, TITLE_H, HEAD_H = 28, 130, 62, 24
BLOCK_GAP_X, BLOCK_GAP_Y = 36, 30
MOST_WIDTH = 1800
INKS = {"higher": TEAL, "lower": RUST, "neither": SLATE}
SIGNED = "green is better than strength 0, red is worse"
LEGENDS = {"higher": "darker is better", "lower": "darker is worse", "neither": "darker is more"}


@dataclass(frozen=True)
class _Map:
    score: Score
    values: Mapping[int, float]
    low: float
    high: float

    @property
    def is_signed(self) -> bool:
        """Whether 0 is neither good nor bad, and both sides occur or may."""
        return self.score.better == "lower" and self.low < 0


def draw_maps(
    plan: SweepPlan, page: int, found: Mapping[str, Scored], choice: Choice, title: str
) -> Image.Image:
    """All scores of one page of the sweep; colours run from the smallest to the largest value of
    the whole sweep, so that pages compare.

    Args:
        plan: the sweep.
        page: its page, from 0.
        found: the scores.
        choice: cells of the shortlist get a frame and their number.
        title: line above.
    """
    known = scores()
    maps = [
        _Map(known[name], own.values, min(own.values.values()), max(own.values.values()))
        for name, own in found.items()
    ]
    block_w = LABEL_W + len(plan.column_labels) * (CELL_W + GAP)
    block_h = 52 + HEAD_H + len(plan.row_labels) * (CELL_H + GAP)
    across = max(1, min(len(maps), (MOST_WIDTH - 2 * MARGIN) // (block_w + BLOCK_GAP_X)))
    down = -(-len(maps) // across)
    sheet = Image.new(
        "RGB",
        (
            max(560, 2 * MARGIN + across * (block_w + BLOCK_GAP_X) - BLOCK_GAP_X),
            TITLE_H + MARGIN + down * (block_h + BLOCK_GAP_Y),
        ),
        PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    heading = " · ".join(filter(None, (plan.page_labels[page], title)))
    write(draw, heading, (MARGIN, MARGIN - 6), sheet.width - 2 * MARGIN, 22)
    cells = [cell for cell in plan.cells if cell.page == page]
    listed = {i: n for n, own in enumerate(choice.shortlist, start=1) for i in own.cells}
    for number, one in enumerate(maps):
        x = MARGIN + number % across * (block_w + BLOCK_GAP_X)
        y = TITLE_H + number // across * (block_h + BLOCK_GAP_Y)
        _draw_map(draw, (x, y), block_w, plan, cells, one, listed)
    return sheet


def _draw_map(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], width: int, plan: SweepPlan,
    cells: list[Cell], one: _Map, listed: Mapping[int, int],
) -> None:
    x, y = corner
    write(draw, one.score.title, (x, y), width, 18)
    told = SIGNED if one.is_signed else LEGENDS[one.score.better]
    legend = f"{told}, {short_text(one.low)} to {short_text(one.high)}"
    write(draw, legend, (x, y + 24), width, 13, FAINT)
    top = y + 52 + HEAD_H
    for number, label in enumerate(plan.column_labels):
        middle = x + LABEL_W + number * (CELL_W + GAP) + CELL_W / 2
        write(draw, label, (middle, top - 6), CELL_W, 12, INK, "ms")
    for number, label in enumerate(plan.row_labels):
        write(draw, label, (x, top + number * (CELL_H + GAP) + CELL_H / 2), LABEL_W - 8, 13, INK,
              "lm")
    for cell in cells:
        left = x + LABEL_W + cell.column * (CELL_W + GAP)
        place = (left, top + cell.row * (CELL_H + GAP))
        _draw_cell(draw, place, one, one.values.get(cell.index), listed.get(cell.index))


def _draw_cell(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], one: _Map, value: float | None,
    number: int | None,
) -> None:
    x, y = corner
    box = (x, y, x + CELL_W - 1, y + CELL_H - 1)
    if value is None:
        draw.line((x + 28, y + CELL_H / 2, x + CELL_W - 28, y + CELL_H / 2), fill=MISSING)
        return
    colour = _colour(one, value)
    draw.rectangle(box, fill=colour)
    ink = readable_on(colour)
    draw.text((x + CELL_W / 2, y + CELL_H / 2), short_text(value), fill=ink, font=font(15),
              anchor="mm")
    if number is not None:
        draw.rectangle(box, outline=INK, width=2)
        draw.text((x + 6, y + 4), str(number), fill=ink, font=font(11))


def _colour(one: _Map, value: float) -> tuple[int, int, int]:
    if one.is_signed:
        most = max(abs(one.low), abs(one.high))
        return mixed(PALE, RUST if value > 0 else TEAL, abs(value) / most)
    span = one.high - one.low
    return mixed(PALE, INKS[one.score.better], (value - one.low) / span if span > 0 else 0.0)
