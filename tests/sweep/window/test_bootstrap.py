"""The intervals: how often they hold, and what they are made of."""

from __future__ import annotations

import numpy as np
import pytest

from lora_kiln.benchmarks.window import SUBJECTS, falling, search_once
from lora_kiln.sweep.window.bootstrap import estimate
from lora_kiln.sweep.window.curve import Observation

BY_NAME = {subject.name: subject for subject in SUBJECTS}


def observed(shifts: tuple[float, ...], count: int = 33) -> list[Observation]:
    curve = falling(0.6, 0.8)
    return [
        Observation(float(s), seed, curve(float(s) - shift) if s else 1.0)
        for seed, shift in enumerate(shifts) for s in np.linspace(0, 1.6, count)
    ]  # fmt: skip


def width(shifts: tuple[float, ...]) -> float:
    low, high = estimate(observed(shifts), rises=False).interval(0)
    return high - low


def test_both_edges_are_in_their_intervals_most_of_the_time() -> None:
    """Nine in ten each; both at once a little less often."""
    subject = BY_NAME["wide .66-.80"]
    assert subject.edges is not None
    held = []
    for number in range(40):
        window, _ = search_once(subject, number)
        assert window.last_interval is not None and window.first_interval is not None
        held.append(
            window.last_interval[0] <= subject.edges[0] <= window.last_interval[1]
            and window.first_interval[0] <= subject.edges[1] <= window.first_interval[1]
        )
    assert np.mean(held) >= 0.7


def test_the_more_seeds_differ_the_wider_and_the_more_there_are_the_narrower() -> None:
    spread = [width((-by, 0.0, by)) for by in (0.0, 0.02, 0.06)]
    assert spread[0] < spread[1] < spread[2]
    assert width((-0.06, 0.0, 0.06) * 3) < spread[2] / 2


def test_an_edge_is_not_known_better_than_strengths_were_drawn() -> None:
    """Seeds that agree leave a quarter of the gap on each side."""
    for count in (9, 33):
        low, high = estimate(observed((0.0, 0.0, 0.0), count), rises=False).interval(0)
        assert high - low == pytest.approx(2 * 0.25 * 1.6 / (count - 1))


def test_a_picture_that_is_missing_does_not_count() -> None:
    whole = observed((-0.02, 0.0, 0.02))
    some = [own for number, own in enumerate(whole) if number != 33 + 14]
    assert len(some) == len(whole) - 1
    edges = [estimate(own, rises=False).edges for own in (whole, some)]
    assert edges[0] == pytest.approx(edges[1], abs=0.005)
