"""The small picture of the grid while it is drawn."""

from __future__ import annotations

import numpy as np
from PIL import Image

from lora_kiln.sweep import live_sheet
from lora_kiln.sweep.live_sheet import LiveSheet
from lora_kiln.tests.sweep.score_cases import make_plan

RED = (255, 0, 0)


def red_px(sheet: Image.Image) -> int:
    return int((np.asarray(sheet) == RED).all(-1).sum())


def test_a_page_keeps_its_cells_while_others_are_drawn() -> None:
    """A batch goes through several pages: what was shown must not vanish."""
    plan = make_plan((0.0, 1.0), seeds=(1, 2), prompts=("a", "b"))
    sheet, picture = LiveSheet(plan), Image.new("RGB", (64, 64), RED)
    first = red_px(sheet.add(plan.cells[0], picture))
    assert first > 0
    assert red_px(sheet.add(plan.cells[4], picture)) == first
    assert red_px(sheet.add(plan.cells[1], picture)) == 2 * first
    # A hidden cell leaves what is shown.
    hidden = type(plan.cells[0])(8, -1, -1, -1, plan.cells[0].settings)
    assert red_px(sheet.add(hidden, picture)) == 2 * first


def test_very_many_pages_need_no_more_memory() -> None:
    plan = make_plan((1.0,), prompts=tuple(map(str, range(live_sheet.KEPT_PAGES + 9))))
    sheet, picture = LiveSheet(plan), Image.new("RGB", (8, 8), RED)
    for cell in plan.cells:
        sheet.add(cell, picture)
    assert len(sheet._pages) == live_sheet.KEPT_PAGES
