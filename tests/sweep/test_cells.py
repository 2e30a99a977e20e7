"""From axes to cells, and from cells to batches."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from lora_kiln.core.errors import ConfigError
from lora_kiln.sweep import axis
from lora_kiln.sweep.axis import Axis, AxisValues, Target
from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import (
    MOST_CELLS,
    SweepPlan,
    plan_sweep,
)
from lora_kiln.sweep.grid import draw_page

BASE = CellSettings(strength=0.8, cfg=5.0)


def plan(**values: tuple[float, ...]) -> SweepPlan:
    return plan_sweep(BASE, [AxisValues(name, own) for name, own in values.items()])


def grid_of(swept: SweepPlan) -> list[tuple[int, int, int, float, float]]:
    return [
        (c.page, c.row, c.column, c.settings.strength, c.settings.cfg) for c in swept.cells
    ]


def test_rows_are_the_first_axis_and_columns_the_second() -> None:
    swept = plan(strength=(0.0, 1.0), cfg=(2.0, 4.0))
    assert grid_of(swept) == [
        (0, 0, 0, 0.0, 2.0), (0, 0, 1, 0.0, 4.0), (0, 1, 0, 1.0, 2.0), (0, 1, 1, 1.0, 4.0),
    ]
    assert swept.row_labels == ("strength 0", "strength 1")
    assert swept.column_labels == ("CFG 2", "CFG 4")
    assert swept.page_labels == ("",)
    assert [cell.index for cell in swept.cells] == [0, 1, 2, 3]


def test_strength_zero_is_added_in_front() -> None:
    assert plan(cfg=(2.0,), strength=(0.5, 1.0)).column_labels == (
        "strength 0", "strength 0.5", "strength 1",
    )
    assert plan(strength=(1.0, 0.0)).row_labels == ("strength 1", "strength 0")


def test_without_a_strength_axis_the_model_itself_stands_beside() -> None:
    swept = plan(cfg=(2.0, 4.0))
    assert swept.row_labels == ("CFG 2", "CFG 4")
    assert swept.column_labels == ("strength 0", "strength 0.8")


def test_a_base_strength_of_zero_gives_one_column() -> None:
    swept = plan_sweep(CellSettings(strength=0.0), [AxisValues("cfg", (2.0, 4.0))])
    assert swept.column_labels == ("strength 0",)
    assert len(swept.cells) == 2


def test_no_axis_at_all_compares_with_and_without() -> None:
    assert grid_of(plan()) == [(0, 0, 0, 0.0, 5.0), (0, 1, 0, 0.8, 5.0)]


def test_an_axis_may_be_connected_once() -> None:
    twice = [AxisValues("cfg", (1.0,)), AxisValues("cfg", (2.0,))]
    with pytest.raises(ConfigError, match="connected twice"):
        plan_sweep(BASE, twice)


def test_too_many_cells_are_refused() -> None:
    many = tuple(float(n) for n in range(MOST_CELLS))
    with pytest.raises(ConfigError, match=str(2 * MOST_CELLS)):
        plan(strength=(0.0, 1.0), cfg=many)


def test_more_than_two_axes_make_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an axis that a later file may bring."""
    target = Target(
        apply=lambda own, value: replace(own, seed=value), label=lambda value: f"seed {value}"
    )
    seed = Axis(
        name="seed", title="Seed", doc="", default="1", parse=lambda text, known: [],
        targets=(target,),
    )
    known = {**axis.axes(), "seed": seed}
    monkeypatch.setattr(axis, "axes", lambda: known)
    chosen = {"strength": (0.0, 1.0), "cfg": (2.0, 4.0), "seed": (7, 8, 9)}
    swept = plan(**chosen)
    assert swept.page_labels == ("seed 7", "seed 8", "seed 9")
    assert len(swept.cells) == 12
    assert [cell.page for cell in swept.cells] == [n // 4 for n in range(12)]
    assert {c.settings.seed for c in swept.cells if c.page == 1} == {8}
    missing = plan(seed=(7, 8), cfg=(2.0, 4.0))
    assert missing.row_labels == ("seed 7", "seed 8")
    assert missing.column_labels == ("CFG 2", "CFG 4")
    assert missing.page_labels == ("strength 0", "strength 0.8")
    pictures = {cell.index: Image.new("RGB", (64, 64)) for cell in swept.cells}
    pages = [draw_page(swept, page, pictures, {}, "t") for page in range(3)]
    assert len({page.size for page in pages}) == 1
    assert len({page.tobytes() for page in pages}) == 3
