"""Asking: coarse first, then where the subject falls, never more than the budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st

from lora_kiln.benchmarks.window import falling
from lora_kiln.core.errors import ConfigError
from lora_kiln.sweep.window.curve import Observation
from lora_kiln.sweep.window.planner import next_strengths
from lora_kiln.sweep.window.search import RESOLUTION, Search


def told(strengths: tuple[float, ...], last: float, first: float) -> list[Observation]:
    curve = falling(last, first)
    return [Observation(s, seed, curve(s - 0.01 * seed)) for s in strengths for seed in range(3)]


@rules(max_examples=25)
@given(
    last=st.floats(0.1, 1.2), width=st.floats(0.05, 0.4), budget=st.integers(5, 16),
    lowest=st.sampled_from([0.0, 0.2]),
)  # fmt: skip
def test_every_strength_is_new_in_range_and_can_be_typed(
    last: float, width: float, budget: int, lowest: float
) -> None:
    search = Search(lowest=lowest, budget=budget)
    observed: list[Observation] = []
    seen: list[float] = []
    while batch := next_strengths(observed, search):
        assert not set(batch) & set(seen)
        assert all(s == 0 or lowest <= s <= search.highest for s in batch)
        assert all(s == pytest.approx(round(s / RESOLUTION) * RESOLUTION) for s in batch)
        seen += batch
        observed += told(batch, last, last + width)
    assert len(seen) <= budget
    assert 0.0 in seen


def test_after_the_coarse_round_it_looks_where_the_subject_falls() -> None:
    search = Search()
    first = next_strengths([], search)
    assert first == (0.0, 0.265, 0.535, 0.8, 1.065, 1.335, 1.6)
    second = next_strengths(told(first, 0.66, 0.8), search)
    assert len(second) == search.batch
    assert all(0.535 < strength < 1.065 for strength in second)


def test_the_gaps_around_both_edges_are_halved_whatever_the_shape() -> None:
    """A slow fade, then a cliff: the edges are far apart and found one by one."""
    search = Search()

    def score(strength: float) -> float:
        return 1 - 0.2 * strength if strength <= 1 else max(8.8 - 8 * strength, 0.0)

    observed: list[Observation] = []
    while batch := next_strengths(observed, search):
        observed += [Observation(s, seed, score(s)) for s in batch for seed in range(3)]
    drawn = sorted({own.strength for own in observed})
    assert len(drawn) == search.budget
    for edge in (0.5, 1.0875):
        left = max(strength for strength in drawn if strength <= edge)
        assert min(strength for strength in drawn if strength > edge) - left <= 0.07


def test_a_search_goes_on_where_it_was_interrupted() -> None:
    search = Search()
    first = next_strengths([], search)
    some = told(first[:3], 0.66, 0.8)
    assert next_strengths(some, search) == first[3:]
    whole = told(first, 0.66, 0.8)
    assert next_strengths(whole, search) == next_strengths(reversed(whole), search)


def test_nothing_more_is_drawn_where_nothing_falls() -> None:
    search = Search()
    flat = [Observation(s, seed, 0.97) for s in search.first_round for seed in range(3)]
    assert next_strengths(flat, search) == ()


def test_what_cannot_be_drawn_is_not_asked_for_again() -> None:
    search = Search()
    first = search.first_round
    seen = told(first[:-1], 0.66, 0.8)
    assert next_strengths(seen, search) == first[-1:]
    assert first[-1] not in next_strengths(seen, search, failed=first[-1:])


@pytest.mark.parametrize(
    "wrong",
    [
        {"lowest": -1.0}, {"lowest": 1.0, "highest": 1.0}, {"budget": 4},
        {"highest": float("inf")}, {"highest": float("nan")}, {"lowest": float("nan")},
    ],
)  # fmt: skip
def test_an_impossible_search_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Search(**wrong)  # type: ignore[arg-type]


def test_the_narrowest_range_is_taken_and_its_ends_are_drawn() -> None:
    """.3 - .1 is a little less than .2."""
    assert Search(lowest=0.2, highest=0.3).first_round[1] == 0.2
    assert Search(highest=1.633).first_round[-1] == 1.633
