"""The Pareto front: nobody on it is beaten, everybody off it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.sweep.cells import SweepPlan
from lora_kiln.sweep.groups import groups_of
from lora_kiln.sweep.pareto import MOST_LISTED, Choice, choose, front_of, goals_among
from lora_kiln.sweep.score import Scored
from lora_kiln.tests.sweep.score_cases import blobs, make_input, make_plan

POINTS = st.integers(1, 3).flatmap(
    lambda width: st.lists(
        st.lists(st.integers(0, 5), min_size=width, max_size=width), min_size=1, max_size=20
    )
)


def beats(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((one >= other).all() and (one > other).any())


@given(POINTS)
def test_the_front(rows: list[list[int]]) -> None:
    points = np.array(rows, dtype=float)
    on_front = front_of(points)
    members = points[on_front]
    assert len(members)
    for point, is_on in zip(points, on_front, strict=True):
        beaten = any(beats(other, point) for other in members)
        assert beaten != is_on


def scored(plan: SweepPlan, **columns: list[float]) -> Choice:
    pictures = {cell.index: blobs(cell.index, (32, 32)) for cell in plan.cells}
    found = {name: Scored(dict(enumerate(values))) for name, values in columns.items()}
    if "copies" in columns:
        copies = found.pop("copies").values
        flags = {index: "copy" if value else "" for index, value in copies.items()}
        found["memorisation"] = Scored({}, {"flag": flags})
    return choose(make_input(plan, pictures), found)


def test_goals_fall_back_on_what_there_is() -> None:
    empty = Scored({})
    everything = dict.fromkeys(("burn", "effect_size", "likeness", "prompt", "structure"), empty)
    assert goals_among(everything) == ("likeness", "prompt", "burn")
    assert goals_among(dict.fromkeys(("burn", "effect_size", "structure"), empty)) == (
        "effect_size", "structure", "burn",
    )
    assert goals_among({}) == ()


def test_beaten_settings_are_off_and_the_balanced_one_is_first() -> None:
    plan = make_plan((0.0, 0.3, 0.6, 0.9, 1.2))
    choice = scored(
        plan,
        likeness=[0.1, 0.2, 0.6, 0.55, 0.9],
        structure=[1.0, 0.9, 0.7, 0.6, 0.1],
        burn=[0.0, 0.0, 0.1, 0.2, 0.8],
    )
    # Strength 0 is no candidate; .9 is beaten by .6 in all three.
    assert [own.settings.strength for own in choice.candidates] == [0.3, 0.6, 0.9, 1.2]
    assert [own.settings.strength for own in choice.front] == [0.3, 0.6, 1.2]
    assert choice.shortlist[0].settings.strength == 0.6


def test_seeds_are_averaged_with_their_spread() -> None:
    plan = make_plan((0.0, 1.0), seeds=(1, 2), prompts=("a", "b"))
    likeness = [0, 0, 0.2, 0.4, 0, 0, 0.6, 0.8]
    choice = scored(plan, likeness=likeness, burn=[0.0] * 8)
    (only,) = choice.candidates
    assert only.cells == (2, 3, 6, 7)
    assert only.means == pytest.approx({"likeness": 0.5, "burn": 0.0})
    # Over the seeds of a prompt: ±.1 for both, though the prompts differ by .4.
    assert only.spreads == pytest.approx({"likeness": 0.1, "burn": 0.0})


def test_copies_are_neither_listed_nor_push_others_off() -> None:
    plan = make_plan((0.0, 0.5, 1.0))
    choice = scored(plan, likeness=[0, 0.5, 1.0], burn=[0, 0.1, 0.0], copies=[0, 0, 1])
    assert [own.is_copy for own in choice.candidates] == [False, True]
    assert [own.settings.strength for own in choice.shortlist] == [0.5]
    nothing = scored(plan, likeness=[0, 0.5, 1.0], burn=[0, 0.1, 0.0], copies=[0, 1, 1])
    assert nothing.shortlist == ()


def test_the_shortlist_is_short_and_varied() -> None:
    strengths = tuple(round(0.1 * n, 1) for n in range(21))
    plan = make_plan(strengths)
    choice = scored(plan, likeness=list(strengths), burn=list(strengths))
    assert len(choice.front) == 20
    listed = [own.settings.strength for own in choice.shortlist]
    assert len(listed) == MOST_LISTED == len(set(listed))
    assert listed[0] in (1.0, 1.1)
    assert {0.1, 2.0} <= set(listed)


def test_the_same_picture_in_two_places_counts_once() -> None:
    plan = make_plan((0.0, 1.0, 1.0))
    assert [group.cells for group in groups_of(plan.cells)] == [(0,), (1,)]


def test_nothing_to_weigh() -> None:
    assert scored(make_plan((0.0,)), likeness=[0.1], burn=[0.0]).shortlist == ()
    assert scored(make_plan()).candidates == ()
