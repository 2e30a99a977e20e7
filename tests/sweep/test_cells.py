"""From axes to cells, and from cells to batches."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lora_kiln.core.errors import ConfigError
from lora_kiln.sweep import axis
from lora_kiln.sweep.axis import Axis, AxisValues, Target
from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import (
    MOST_CELLS,
    Cell,
    SweepPlan,
    batches_of,
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
    assert missing.column_labels == ("strength 0", "strength 0.8")
    assert missing.page_labels == ("CFG 2", "CFG 4")
    pictures = {cell.index: Image.new("RGB", (64, 64)) for cell in swept.cells}
    pages = [draw_page(swept, page, pictures, {}, "t") for page in range(3)]
    assert len({page.size for page in pages}) == 1
    assert len({page.tobytes() for page in pages}) == 3


def cells_of(*each: CellSettings) -> list[Cell]:
    return [Cell(index, 0, 0, index, own) for index, own in enumerate(each)]


def test_a_batch_shares_all_but_strength_scale_and_seed() -> None:
    alike = [CellSettings(strength=0.1 * n, cfg=n, seed=n) for n in range(3)]
    others = [
        CellSettings(prompt="b"), CellSettings(negative="b"), CellSettings(steps=3),
        CellSettings(sampler="lms"), CellSettings(scheduler="karras"),
        CellSettings(width_px=8), CellSettings(height_px=8),
    ]
    batches = batches_of(cells_of(*alike, *others), share_strength=True, limit=lambda own: 32)
    assert [len(batch) for batch in batches] == [3] + [1] * len(others)


def test_patched_strengths_do_not_mix() -> None:
    cells = cells_of(*[CellSettings(strength=s, cfg=c) for c in (1, 2) for s in (0.0, 0.5)])
    batches = batches_of(cells, share_strength=False, limit=lambda own: 32)
    assert [[cell.settings.strength for cell in batch] for batch in batches] == [
        [0.0, 0.0], [0.5, 0.5],
    ]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=60),
    st.integers(-1, 9),
    st.booleans(),
)
def test_every_cell_is_drawn_once_in_batches_of_even_size(
    kinds: list[tuple[int, int]], limit: int, share: bool
) -> None:
    cells = cells_of(
        *[CellSettings(steps=steps + 1, strength=float(strength)) for steps, strength in kinds]
    )
    batches = batches_of(cells, share_strength=share, limit=lambda own: limit)
    drawn = Counter(cell.index for batch in batches for cell in batch)
    assert drawn == Counter(range(len(cells)))
    sizes: dict[object, list[int]] = {}
    for batch in batches:
        assert 1 <= len(batch) <= max(1, limit)
        own = batch[0].settings
        key = (own.steps, None if share else own.strength)
        assert all((c.settings.steps, None if share else c.settings.strength) == key for c in batch)
        sizes.setdefault(key, []).append(len(batch))
    assert all(max(own) - min(own) <= 1 for own in sizes.values())
