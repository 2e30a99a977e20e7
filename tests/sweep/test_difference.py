"""The difference view: nothing for equal pictures, a fixed scale, told in each cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lora_kiln.sweep import difference
from lora_kiln.sweep.axis import AxisValues
from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import plan_sweep
from lora_kiln.sweep.grid import draw_sheet, lay_out

SIZE = (200, 200)


def flat(colour: str | tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", SIZE, colour)


def noise() -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("black", "white", 100.0),
        # CIELAB of the sRGB primaries for D65: (53.24, 80.09, 67.20) and (32.30, 79.19, -107.86).
        ("red", "blue", 176.3),
        ((119, 119, 119), (120, 120, 120), 0.396),
    ],
)  # fmt: skip
def test_the_measure_is_cielab(
    first: str | tuple[int, int, int], second: str | tuple[int, int, int], expected: float
) -> None:
    measured = difference.colour_difference(flat(first), flat(second))
    assert measured.shape == SIZE
    assert float(measured.mean()) == pytest.approx(expected, rel=0.01)
    assert np.ptp(measured) < 1e-3


def test_equal_pictures_have_no_difference_and_no_colour() -> None:
    measured = difference.colour_difference(noise(), noise())
    assert float(np.abs(measured).max()) == 0
    map_ = np.asarray(difference.heat_map(noise(), measured)).astype(int)
    assert np.ptp(map_, axis=-1).max() == 0


def test_heat_grows_with_the_difference_and_stops_at_the_top() -> None:
    values = np.linspace(0, 100, 200, dtype=np.float32)
    shown = difference.heat_map(flat("black"), np.broadcast_to(values, (200, 200)))
    light = np.asarray(shown.convert("L")).astype(int)[0]
    assert (light[values < difference.INVISIBLE] == 0).all()
    assert (np.diff(light) >= -1).all()
    assert np.ptp(light[values > difference.TOP]) == 0


def test_a_page_shows_each_cell_beside_its_partner() -> None:
    axes = [AxisValues("strength", (0.0, 1.0)), AxisValues("cfg", (2.0, 7.0))]
    plan = plan_sweep(CellSettings(), axes)
    half = flat("grey")
    half.paste("white", (0, 0, 100, 200))
    pictures = {0: flat("grey"), 1: flat("grey"), 2: flat("grey"), 3: half}
    layout = lay_out(plan, SIZE, "t", footer_height=difference.FOOTER_PX)
    painter = difference.DifferencePainter(plan, pictures)
    sheet = draw_sheet(plan, 0, layout, painter, {}, "t")
    difference.draw_legend(sheet, layout)
    pixels = np.asarray(sheet).astype(int)

    def cell(row: int, column: int) -> Any:
        left, top = layout.corner(row, column)
        return pixels[top : top + 170, left : left + 200]

    for row, column in ((0, 0), (0, 1), (1, 0)):
        assert np.ptp(cell(row, column), axis=-1).max() == 0
    assert np.ptp(cell(1, 1)[:, :90], axis=-1).min() > 50
    assert np.ptp(cell(1, 1)[:, 110:], axis=-1).max() == 0
    footer = pixels[layout.size[1] - difference.FOOTER_PX :]
    assert np.ptp(footer, axis=-1).max() > 100


def test_cells_without_picture_or_partner_are_grey_and_say_so() -> None:
    axes = [AxisValues("strength", (0.0, 1.0)), AxisValues("cfg", (2.0, 7.0))]
    plan = plan_sweep(CellSettings(), axes)
    painter = difference.DifferencePainter(plan, {1: flat("red"), 2: flat("red"), 3: flat("red")})
    reasons = painter.reasons({0: "out of memory"})
    assert painter(plan.cells[0], SIZE) is None
    assert painter(plan.cells[2], SIZE) is None
    assert painter(plan.cells[3], SIZE) is not None
    assert reasons[0] == "out of memory"
    assert reasons[2] == difference.NOTHING_TO_COMPARE


def test_few_bases_are_kept_and_the_same_one_is_read_once() -> None:
    read: list[int] = []

    class Pictures(dict[int, Image.Image]):
        def __getitem__(self, index: int) -> Image.Image:
            read.append(index)
            return super().__getitem__(index)

    scales = tuple(float(n) for n in range(1, 21))
    plan = plan_sweep(
        CellSettings(), [AxisValues("cfg", scales), AxisValues("strength", (0.0, 0.5, 1.0))]
    )
    painter = difference.DifferencePainter(
        plan, Pictures({cell.index: flat("grey") for cell in plan.cells})
    )
    for cell in plan.cells:
        painter(cell, (16, 16))
    assert len(read) == len(plan.cells)
    assert len(painter._resized) <= difference.BASES_KEPT


@pytest.mark.parametrize("columns", [1, 2, 12])
def test_the_legend_fits_sheets_of_any_width(columns: int) -> None:
    plan = plan_sweep(CellSettings(), [AxisValues("strength", (0.0, 1.0))])
    plan = replace(plan, column_labels=("c",) * columns)
    layout = lay_out(plan, (64, 64), "t", footer_height=difference.FOOTER_PX)
    sheet = Image.new("RGB", layout.size)
    difference.draw_legend(sheet, layout)
    assert np.asarray(sheet)[: layout.cells_box[3]].max() == 0
