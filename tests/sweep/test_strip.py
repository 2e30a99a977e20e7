"""The animated strip: which frames, in which order, and never more than one in memory."""

from __future__ import annotations

import weakref
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from lora_kiln.sweep.axis import AxisValues
from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import SweepPlan, plan_sweep
from lora_kiln.sweep.grid import lay_out
from lora_kiln.sweep.strip import (
    LIMITS,
    MOST_FRAMES,
    Strip,
    _Frames,
    encode_strip,
    plan_strip,
    turn,
)
from lora_kiln.tests.sweep.axes_for_tests import plan_of_four_axes

SIZE = (64, 64)


def pictures_of(plan: SweepPlan) -> dict[int, Image.Image]:
    """Every cell in a grey of its own."""
    count = max(2, len(plan.cells))
    return {
        cell.index: Image.new("RGB", SIZE, (240 * cell.index // (count - 1),) * 3)
        for cell in plan.cells
    }


def planned(plan: SweepPlan, wanted: str = "auto") -> Strip:
    strip = plan_strip(plan, wanted, SIZE)
    assert isinstance(strip, Strip)
    return strip


def test_turning_keeps_every_cell_and_puts_it_under_its_labels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = plan_of_four_axes(monkeypatch)
    for axis, own in enumerate(plan.axes):
        turned = turn(plan, axis)
        assert turned.page_labels == own.labels()
        places = {(cell.page, cell.row, cell.column) for cell in turned.cells}
        assert len(places) == len(plan.cells)
        for before, after in zip(plan.cells, turned.cells, strict=True):
            assert (before.index, before.settings) == (after.index, after.settings)
            shown = ", ".join(
                (
                    turned.page_labels[after.page], turned.row_labels[after.row],
                    turned.column_labels[after.column],
                )
            )  # fmt: skip
            labels = [a.target.label(v) for a, v in zip(plan.axes, before.values, strict=True)]
            assert sorted(shown.split(", ")) == sorted(labels)
    assert turn(plan, 0).column_labels == ("CFG 2", "CFG 7")


def test_frames_run_up_and_back_by_size() -> None:
    """Strength 0, which is added in front, does not jump; nor does an order like 1, 0.5."""
    plan = plan_sweep(
        CellSettings(), [AxisValues("strength", (1.0, -0.5, 0.5)), AxisValues("cfg", (2.0, 7.0))]
    )
    strip = planned(plan)
    shown = [strip.plan.page_labels[page] for page in strip.order]
    assert shown == [f"strength {s}" for s in ("-0.5", "0", "0.5", "1", "0.5", "0")]
    assert strip.durations_ms == (1600, 800, 800, 1600, 800, 800)
    file = BytesIO()
    pictures = pictures_of(plan)
    encode_strip(strip, file, pictures, {}, "a title", {"workflow": "{}"})
    layout = lay_out(strip.plan, SIZE, "a title", LIMITS)
    with Image.open(file) as read:
        assert (getattr(read, "n_frames", 1), read.size) == (6, layout.size)
        assert read.getexif()[0x010F] == "workflow:{}"
        for frame, page in enumerate(strip.order):
            read.seek(frame)
            pixels = np.asarray(read.convert("RGB"), dtype=float)
            for cell in strip.plan.cells:
                if cell.page == page:
                    left, top = layout.corner(cell.row, cell.column)
                    inside = pixels[top + 20 : top + 172, left + 20 : left + 172].mean()
                    wanted = pictures[cell.index].getpixel((0, 0))[0]  # type: ignore[index]
                    assert inside == pytest.approx(wanted, abs=4)


def test_the_axis_is_the_persons_or_strength_or_the_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = plan_of_four_axes(monkeypatch)
    assert planned(plan).plan.page_labels == plan.axes[0].labels()
    assert planned(plan, "test_seeds").plan.page_labels == ("seed 1", "seed 2", "seed 3")
    assert plan_strip(plan, "none", SIZE) == ""
    assert "no steps axis" in str(plan_strip(plan, "steps", SIZE))
    only_cfg = plan_sweep(CellSettings(strength=0.0), [AxisValues("cfg", (2.0, 7.0))])
    assert planned(only_cfg).plan.page_labels == ("CFG 2", "CFG 7")
    one = plan_sweep(CellSettings(strength=0.0), [])
    assert "no axis has several" in str(plan_strip(one, "auto", SIZE))


def test_long_axes_and_wide_grids_stay_within_bounds() -> None:
    values = tuple(n / 8 for n in range(64))
    plan = plan_sweep(CellSettings(), [AxisValues("strength", values), AxisValues("cfg", values)])
    strip = planned(plan)
    assert len(strip.order) == MOST_FRAMES
    assert {strip.plan.page_labels[p] for p in strip.order} >= {"strength 0", "strength 7.875"}
    assert len(strip.notes) == 2
    layout = lay_out(strip.plan, SIZE, "t", LIMITS)
    assert max(layout.size) <= 1280
    assert min(layout.cell) >= 90
    by_cfg = planned(plan, "cfg")
    assert max(lay_out(by_cfg.plan, SIZE, "t", LIMITS).size) <= 1280


def test_frames_are_drawn_one_by_one() -> None:
    alive: list[weakref.ref[Image.Image]] = []

    def draw(frame: int) -> Image.Image:
        assert sum(ref() is not None for ref in alive) == 0
        picture = Image.new("RGB", (32, 32), (frame * 6, 0, 0))
        alive.append(weakref.ref(picture))
        return picture

    file = BytesIO()
    _Frames((32, 32), 40, draw).save(file, "WEBP", save_all=True, duration=50, lossless=True)
    assert len(alive) == 40
    with Image.open(file) as read:
        assert getattr(read, "n_frames", 1) == 40
        read.seek(39)
        assert read.convert("RGB").getpixel((0, 0)) == (234, 0, 0)
