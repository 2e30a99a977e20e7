"""The grid picture: every cell in its place, every label inside its room."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

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


ODD = (
    "a\nlong prompt " * 20, "w" * 300, "", "\ud800 half \x00 a letter", "שלום עולם " * 30,
    "🐱🚀 👩\u200d👧" * 40, "很长的提示词" * 200, "\u202e" + "turned " * 50, "x y " * 2500,
)  # fmt: skip


@pytest.mark.parametrize("first", range(len(ODD)))
def test_labels_never_leave_their_room(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    """Measured where they are drawn: long values, line breaks, words without end."""
    odd = [ODD[(first + n) % len(ODD)] for n in range(3)]
    plan = replace(
        make_plan(), row_labels=tuple(odd), column_labels=tuple(odd[:2]), page_labels=(odd[2],)
    )
    drawn: list[tuple[float, float, float, float]] = []
    real = ImageDraw.ImageDraw.text

    def measured(self: Any, at: tuple[float, float], text: str, **options: Any) -> None:
        if text:
            drawn.append(self.textbbox(at, text, font=options["font"]))
        real(self, at, text, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", measured)
    pictures = pictures_of(plan, (64, 64))
    del pictures[5]
    title = "title\n" * 80
    sheet = grid.draw_page(plan, 0, pictures, {5: "w" * 400 + " why " * 300}, title)
    layout = grid.lay_out(plan, (64, 64), title)
    assert sheet.size == layout.size
    assert len(drawn) > 5
    left, top, _, bottom = layout.cells_box
    second = layout.corner(0, 1)[0]
    grey = (*layout.corner(2, 1), layout.corner(2, 1)[0] + 192, layout.corner(2, 1)[1] + 192)
    rooms = [
        (0, 0, sheet.width, layout.title_height),
        (left, layout.title_height, second, top),
        (second, layout.title_height, sheet.width, top),
        (0, layout.title_height, left, bottom),
        (left, layout.title_height, sheet.width, layout.title_height + layout.heading_height),
        grey,
    ]
    for box in drawn:
        assert any(
            box[0] >= room[0] - 1 and box[1] >= room[1] and box[2] <= room[2] + 1
            and box[3] <= room[3] + 1
            for room in rooms
        ), box  # fmt: skip


def test_long_labels_wrap_before_they_are_cut() -> None:
    plan = make_plan()
    prompt = "a red house with a white roof by day, seen from the garden"
    object.__setattr__(plan, "column_labels", (prompt, "short"))
    layout = grid.lay_out(plan, (192, 192), "t")
    lines = grid._column_label(prompt, layout.cell[0])
    assert 1 < len(lines.lines) <= grid.COLUMN_LABEL_LINES
    assert " ".join(lines.lines) == prompt
    assert layout.label_height > grid.lay_out(make_plan(), (192, 192), "t").label_height


def test_each_picture_is_fetched_once_and_one_for_its_size() -> None:
    class Counting(dict[int, Image.Image]):
        fetched: ClassVar[list[int]] = []

        def __getitem__(self, index: int) -> Image.Image:
            self.fetched.append(index)
            return super().__getitem__(index)

    plan = make_plan()
    grid.draw_page(plan, 0, Counting(pictures_of(plan, (64, 64))), {}, "t")
    assert sorted(Counting.fetched) == [0, 0, 1, 2, 3, 4, 5]


def test_a_very_large_grid_stays_openable() -> None:
    chosen = [
        AxisValues("strength", tuple(float(n) for n in range(30))),
        AxisValues("cfg", tuple(float(n) for n in range(2))),
    ]
    plan = plan_sweep(CellSettings(), chosen)
    picture = Image.new("RGB", (1024, 1024))
    sheet = grid.draw_page(plan, 0, {cell.index: picture for cell in plan.cells}, {}, "t")
    assert sheet.height <= grid.Limits().side_px


@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (4096, 1), (1, 4096), (30, 30)])
def test_no_sheet_is_larger_than_its_limits(rows: int, columns: int) -> None:
    plan = replace(make_plan(), row_labels=("row",) * rows, column_labels=("column",) * columns)
    for size in ((1024, 1024), (64, 64), (512, 2048)):
        layout = grid.lay_out(plan, size, "t")
        assert max(layout.size) <= grid.Limits().side_px
        assert layout.size[0] * layout.size[1] <= 89_000_000
        assert min(layout.cell) >= 1
