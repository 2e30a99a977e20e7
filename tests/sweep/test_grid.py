"""The grid picture: every cell in its place, every label inside its room."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lora_kiln.sweep import grid
from lora_kiln.sweep.axis import AxisValues
from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import SweepPlan, plan_sweep

STRENGTHS, SCALES = (0.0, 0.5, 1.0), (2.0, 7.0)


def make_plan() -> SweepPlan:
    chosen = [AxisValues("strength", STRENGTHS), AxisValues("cfg", SCALES)]
    return plan_sweep(CellSettings(), chosen)


def pictures_of(plan: SweepPlan, size: tuple[int, int]) -> dict[int, Image.Image]:
    """Every cell in a colour of its own."""
    return {
        cell.index: Image.new("RGB", size, (40 * cell.index, 255 - 40 * cell.index, 90))
        for cell in plan.cells
    }


def boxes(sheet: Image.Image, plan: SweepPlan) -> dict[int, tuple[int, int, int, int]]:
    """Where each colour stands: (left, top, right, bottom)."""
    pixels = np.asarray(sheet)
    found = {}
    for index in range(len(plan.cells)):
        ys, xs = np.nonzero((pixels == (40 * index, 255 - 40 * index, 90)).all(-1))
        found[index] = (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
    return found


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((64, 64), (192, 192)), ((128, 128), (256, 256)), ((192, 320), (192, 320)),
        ((640, 640), (640, 640)), ((1024, 1024), (640, 640)), ((2048, 512), (640, 160)),
    ],
)
def test_cells_stand_in_rows_and_columns_at_a_readable_size(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    plan = make_plan()
    sheet = grid.draw_page(plan, 0, pictures_of(plan, size), {}, "a LoRA")
    found = boxes(sheet, plan)
    for cell in plan.cells:
        left, top, right, bottom = found[cell.index]
        assert (right - left, bottom - top) == expected
        assert left == found[cell.column][0]
        assert top == found[2 * cell.row][1]
    assert found[0][0] < found[1][0]
    assert found[0][1] < found[2][1] < found[4][1]
    assert found[5][2] <= sheet.width
    assert found[5][3] <= sheet.height


def test_a_failed_cell_is_grey_and_says_why() -> None:
    plan = make_plan()
    pictures = pictures_of(plan, (256, 256))
    del pictures[3]
    with_reason = grid.draw_page(plan, 0, pictures, {3: "the sampler gave up " * 9}, "t")
    pixels = np.asarray(with_reason)
    grey = Image.new("RGB", (1, 1), grid.MISSING).getpixel((0, 0))
    assert (pixels == grey).all(-1).sum() > 0.5 * 256 * 256
    other = np.asarray(grid.draw_page(plan, 0, pictures, {3: "another reason"}, "t"))
    assert not np.array_equal(pixels, other)


def test_a_page_of_failed_cells_only_can_be_drawn() -> None:
    plan = make_plan()
    errors = {cell.index: "x" * 500 for cell in plan.cells}
    sheet = grid.draw_page(plan, 0, {}, errors, "t")
    assert sheet.width > 2 * grid.SMALLEST_CELL_PX


def test_labels_never_leave_their_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured where they are drawn: long values, line breaks, words without end."""
    plan = make_plan()
    odd = ("a\nlong prompt " * 20, "w" * 300, "")
    object.__setattr__(plan, "row_labels", odd)
    object.__setattr__(plan, "column_labels", odd[:2])
    object.__setattr__(plan, "page_labels", ("page\r\n" * 30,))
    drawn: list[tuple[float, float, float, float]] = []
    real = ImageDraw.ImageDraw.text

    def measured(self: Any, at: tuple[float, float], text: str, **options: Any) -> None:
        drawn.append(self.textbbox(at, text, font=options["font"]))
        real(self, at, text, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", measured)
    pictures = pictures_of(plan, (64, 64))
    del pictures[5]
    sheet = grid.draw_page(plan, 0, pictures, {5: "w" * 400 + " why " * 300}, "title\n" * 80)
    found = boxes(sheet, make_subset(plan))
    assert len(drawn) > 5
    for left, top, right, bottom in drawn:
        assert left >= 0
        assert top >= 0
        assert right <= sheet.width
        assert bottom <= sheet.height
    heading, first, second, row = drawn[:4]
    assert heading[3] <= first[1]
    assert first[2] <= second[0]
    assert first[3] <= found[0][1]
    assert row[2] <= found[0][0]


def make_subset(plan: SweepPlan) -> SweepPlan:
    """Without its last cell, which is grey."""
    return SweepPlan(plan.cells[:5], plan.row_labels, plan.column_labels, plan.page_labels)


def test_a_very_large_grid_stays_openable() -> None:
    chosen = [
        AxisValues("strength", tuple(float(n) for n in range(30))),
        AxisValues("cfg", tuple(float(n) for n in range(2))),
    ]
    plan = plan_sweep(CellSettings(), chosen)
    picture = Image.new("RGB", (1024, 1024))
    sheet = grid.draw_page(plan, 0, {cell.index: picture for cell in plan.cells}, {}, "t")
    assert sheet.height <= grid.LARGEST_SIDE_PX + 400
