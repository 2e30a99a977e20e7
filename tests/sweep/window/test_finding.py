"""Searches of subjects whose windows are known, and what is said about them."""

from __future__ import annotations

import numpy as np
import pytest

from lora_kiln.benchmarks.window import SUBJECTS, Subject, falling, search_once
from lora_kiln.sweep.window import finding
from lora_kiln.sweep.window.curve import Observation
from lora_kiln.sweep.window.search import Search

BY_NAME = {subject.name: subject for subject in SUBJECTS}
RUNS = 40
HARD = ("to a bottom of .3", "style first, .9 left")
"""Noise weighs more where less falls."""


@pytest.mark.parametrize("subject", [s for s in SUBJECTS if s.edges], ids=lambda s: s.name)
def test_known_windows_are_found_within_the_budget(subject: Subject) -> None:
    assert subject.edges is not None
    last, first = [], []
    for number in range(RUNS):
        window, observed = search_once(subject, number)
        assert len({own.strength for own in observed}) <= 13
        assert len(observed) <= 39
        assert window.recommended <= window.last_coherent
        last.append(abs(window.last_coherent - subject.edges[0]))
        broken = np.inf if window.first_broken is None else window.first_broken
        first.append(abs(broken - subject.edges[1]))
    limit = 0.03 if subject.name in HARD else 0.02
    assert np.median(last) <= limit
    assert np.median(first) <= limit


@pytest.mark.parametrize("subject", [s for s in SUBJECTS if not s.edges], ids=lambda s: s.name)
def test_no_window_is_invented(subject: Subject) -> None:
    windows = [search_once(subject, number)[0] for number in range(60)]
    assert np.mean([window.has_window for window in windows]) <= 0.05
    assert windows[0].verdict == finding.NONE
    assert windows[0].first_broken is None
    assert windows[0].recommended == 1.0


def test_crossings_are_all_told_and_the_first_counts() -> None:
    window, _ = search_once(BY_NAME["turning .44-.53"], 1)
    assert window.verdict == finding.SEVERAL
    assert [falls for _, falls in window.crossings] == [True, False, True]
    assert [s for s, _ in window.crossings] == pytest.approx([0.485, 0.86, 1.27], abs=0.12)
    assert window.last_coherent == pytest.approx(0.44, abs=0.05)
    assert "turns" in window.notes[0]


def test_a_fall_at_the_end_of_the_range_is_not_finished() -> None:
    window, _ = search_once(Subject("end", falling(1.4, 1.8), None), 0)
    assert window.verdict in (finding.UNFINISHED, finding.UNSURE)
    assert not window.has_window
    window, _ = search_once(Subject("end", falling(1.4, 1.8), None), 0, noise=0.01, jitter=0.0)
    assert window.verdict == finding.UNFINISHED
    assert window.first_broken is None
    assert window.last_coherent == pytest.approx(1.4, abs=0.06)


def test_a_subject_that_is_broken_at_the_lowest_says_so() -> None:
    subject = Subject("early", falling(0.1, 0.3), None)
    window, _ = search_once(subject, 0, Search(lowest=0.5))
    assert window.verdict == finding.BELOW
    assert (window.last_coherent, window.recommended) == (0.0, 0.0)


def test_noise_that_hides_a_window_is_told() -> None:
    verdicts = [
        search_once(BY_NAME["wide .66-.80"], n, noise=0.5, jitter=0.4)[0] for n in range(20)
    ]
    assert sum(w.verdict == finding.UNSURE for w in verdicts) >= 12
    assert "more seeds" in next(w for w in verdicts if w.verdict == finding.UNSURE).notes[-1]


def test_one_seed_without_noise_is_enough_for_the_edges() -> None:
    window, observed = search_once(BY_NAME["wide .66-.80"], 0, noise=0.0, jitter=0.0, seeds=1)
    assert (window.last_coherent, window.first_broken) == pytest.approx((0.66, 0.8), abs=0.012)
    assert len(observed) <= 13


def test_the_same_observations_give_the_same_answer() -> None:
    _, observed = search_once(BY_NAME["narrow .44-.53"], 0)
    first, second = (finding.find_window(observed, Search()) for _ in range(2))
    assert (first.last_interval, first.recommended) == (second.last_interval, second.recommended)


def test_rounding_down_never_goes_up() -> None:
    assert finding.rounded_down(0.6149) == 0.61
    assert finding.rounded_down(0.615) == 0.615
    assert finding.rounded_down(-0.2) == 0.0


def told(scores: dict[float, float], seeds: int = 3, off: float = 0.0) -> list[Observation]:
    """The same curve for all seeds, or each ``off`` from the next."""
    middle = (seeds - 1) / 2
    return [
        Observation(strength, seed, score + off * (seed - middle) * (strength > 0))
        for strength, score in scores.items() for seed in range(seeds)
    ]  # fmt: skip


def test_a_fall_in_two_steps_is_a_fall() -> None:
    """Neither step is enough, both together are."""
    scores = {0.0: 1.0, 0.4: 0.68, 0.8: 0.9, 1.2: 0.52, 1.6: 0.5}
    window = finding.find_window(told(scores), Search())
    assert window.estimate is not None
    assert [falls for _, falls in window.crossings] == [True, False, True]
    assert "turns" in window.notes[0]


def test_a_dip_before_the_fall_is_told() -> None:
    scores = {0.0: 1.0, 0.2: 0.95, 0.4: 0.65, 0.6: 0.98, 0.9: 0.9, 1.2: 0.05, 1.6: 0.0}
    window = finding.find_window(told(scores), Search())
    assert "turns" in window.notes[0]
    assert f"fall at {window.crossings[2][0]:.2f}" in window.notes[0]


def test_what_could_not_be_drawn_is_not_called_whole() -> None:
    """At high strengths models give NaN: those are no pictures, and no proof of anything."""
    search = Search()
    drawn = {strength: 0.98 for strength in search.first_round if 0 < strength <= 0.8}
    window = finding.find_window(told({0.0: 1.0, **drawn}), search)
    assert window.verdict == finding.UNSURE
    assert window.last_coherent == window.recommended == 0.8
    assert "Above 0.8 nothing could be drawn" in window.notes[0]
    falls = {0.0: 1.0, 0.265: 1.0, 0.535: 0.95, 0.8: 0.5, 1.065: 0.4}
    window = finding.find_window(told(falls), search)
    assert window.last_coherent <= 1.065
    assert any("Above 1.065" in note for note in window.notes)


def test_without_pictures_nothing_is_recommended() -> None:
    window = finding.find_window(told({0.0: 1.0}), Search())
    assert (window.verdict, window.recommended) == (finding.UNSURE, 0.0)
    assert finding.find_window([], Search()).recommended == 0.0


def test_where_noise_hides_a_fall_no_strength_behind_it_is_recommended() -> None:
    scores = {0.0: 1.0, 0.3: 0.9, 0.6: 0.8, 0.9: 0.45, 1.2: 0.5, 1.6: 0.4}
    window = finding.find_window(told(scores, off=0.5), Search())
    assert window.verdict == finding.UNSURE
    assert window.estimate is None
    assert window.recommended == window.last_coherent == 0.6
    assert not any("falling apart would be" in note for note in window.notes)


def test_an_edge_below_the_lowest_may_be_anywhere_there() -> None:
    window, _ = search_once(Subject("early", falling(0.1, 0.3), None), 0, Search(lowest=0.5))
    assert window.last_interval == window.first_interval == (0.0, 0.5)


def test_seeds_that_part_at_once_are_told() -> None:
    """One loses a third at the lowest strength, the others fade: a real LoRA did that."""
    strengths = np.linspace(0, 2.4, 13)
    fades = [1 - strengths / 1.6, 1 - strengths / 1.7, 0.62 - strengths / 2]
    observed = [
        Observation(float(strength), seed, float(max(score, 0.1)) if strength else 1.0)
        for seed, scores in enumerate(fades)
        for strength, score in zip(strengths, scores, strict=True)
    ]
    window = finding.find_window(observed, Search(highest=2.4))
    assert window.verdict == finding.UNSURE
    assert window.recommended == 0.0
    assert any("no strength is safe" in note for note in window.notes)


def test_one_seed_is_told() -> None:
    window, _ = search_once(BY_NAME["wide .66-.80"], 0, seeds=1)
    assert any("One seed" in note for note in window.notes)
