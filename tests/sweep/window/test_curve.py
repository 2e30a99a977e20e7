"""Falls and rises that are believed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.sweep.window.curve import Observation, curve_of


def legs_of(*scores: float) -> list[tuple[float, float, bool]]:
    observed = [Observation(n / 10, 0, score) for n, score in enumerate(scores)]
    return [(leg.start, leg.end, leg.down) for leg in curve_of(observed).legs()]


def test_falls_and_rises_in_order() -> None:
    assert legs_of(1, 1, 0.1, 0.2, 0.9, 0.8, 0) == [
        (0.0, 0.2, True), (0.2, 0.4, False), (0.4, 0.6, True),
    ]  # fmt: skip


def test_small_turns_are_noise() -> None:
    assert legs_of(1, 0.9, 1, 0.85, 0.95) == []
    assert legs_of(1, 0.7, 0.8, 0.1, 0.2) == [(0.0, 0.3, True)]


def test_seeds_that_differ_much_hide_small_falls() -> None:
    chance = np.random.default_rng(0)
    observed = [
        Observation(n / 10, seed, 1 - 0.05 * n + chance.normal(0, 0.3))
        for n in range(10) for seed in range(3)
    ]  # fmt: skip
    curve = curve_of(observed)
    assert curve.noise == pytest.approx(0.3, rel=0.4)
    assert curve.turn > 0.6


@given(st.lists(st.floats(0, 1), max_size=12))
def test_legs_alternate_and_join(scores: list[float]) -> None:
    found = legs_of(*scores)
    for first, second in pairwise(found):
        assert first[1] == second[0]
        assert first[2] != second[2]
