"""How long a sweep will take, from what was measured."""

from __future__ import annotations

import pytest

from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.estimate import Estimate, time_text, work_of

CELL = CellSettings(steps=10, cfg=4.0, width_px=1000, height_px=1000)


def cells(count: int, **changes: object) -> list[CellSettings]:
    return [CellSettings(**{**vars(CELL), **changes}) for _ in range(count)]


def test_work_is_what_goes_through_the_model() -> None:
    assert work_of(CELL) == 20
    assert work_of(cells(1, cfg=1.0)[0]) == 10
    assert work_of(cells(1, sampler="heun")[0]) == 40
    assert work_of(cells(1, width_px=500)[0]) == 10


def test_nothing_is_known_before_anything_was_drawn() -> None:
    assert Estimate().seconds_for(cells(3)) is None
    assert Estimate(pace=0.5).seconds_for(cells(3)) == 30
    assert Estimate().seconds_for([]) == 0


def test_the_first_batch_counts_only_while_it_is_alone() -> None:
    estimate = Estimate()
    estimate.note(cells(2), 100.0)
    assert estimate.seconds_for(cells(2)) == 100
    estimate.note(cells(4), 40.0)
    assert estimate.seconds_for(cells(10)) == 100
    assert estimate.measured_pace() == 0.5
    estimate.note(cells(4), 60.0)
    assert estimate.seconds_for(cells(8)) == 100


def test_a_sampler_has_its_own_pace_once_it_was_seen() -> None:
    estimate = Estimate(pace=9.0)
    estimate.note(cells(1), 1000.0)
    assert estimate.seconds_for(cells(1)) == 180, "the first batch says less than a former sweep"
    estimate.note(cells(1), 20.0)
    estimate.note(cells(1, sampler="lms"), 60.0)
    assert estimate.seconds_for(cells(1)) == 20
    assert estimate.seconds_for(cells(1, sampler="lms")) == 60
    assert estimate.seconds_for(cells(1, sampler="deis")) == 40


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "about 1 s"), (59.4, "about 59 s"), (60, "about 1 min"), (3599, "about 60 min"),
     (3600, "about 1 h 0 min"), (9000, "about 2 h 30 min")],
)  # fmt: skip
def test_times_are_told_as_exactly_as_they_are_known(seconds: float, text: str) -> None:
    assert time_text(seconds) == text
