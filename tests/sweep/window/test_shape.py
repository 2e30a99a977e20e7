"""The curve through any fall: it never rises, and its edges are where they are seen to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.benchmarks.window import falling
from lora_kiln.sweep.window.shape import End, never_rising, shapes_of, smooth

STRENGTHS = np.linspace(0, 1.6, 33)


def measured(values: np.ndarray, end: End = End.TAIL) -> tuple[float, float, float, float]:
    """Top, bottom, last coherent, first broken."""
    shape = shapes_of(STRENGTHS, values[None], end)
    last, first = shape.edges[0]
    return float(shape.tops[0]), float(shape.bottoms[0]), float(last), float(first)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_pooled_means_never_rise_and_keep_their_sum(scores: list[float]) -> None:
    means = np.array(scores)
    found = never_rising(means[None])[0]
    assert (np.diff(found) <= 1e-9).all()
    assert found.sum() == pytest.approx(means.sum())
    # Nothing that never rises is nearer (the inequality that makes it a projection).
    other = -np.arange(len(means), dtype=float)
    assert (means - found) @ (other - found) <= 1e-9


@given(st.lists(st.floats(0, 1), min_size=3, max_size=12))
def test_the_cubics_go_through_every_point_and_never_rise(scores: list[float]) -> None:
    values = np.sort(np.array(scores))[::-1]
    strengths = np.cumsum(np.linspace(0.1, 0.5, len(values)))
    fine = np.linspace(strengths[0], strengths[-1], 500)
    assert smooth(strengths, values[None], strengths)[0] == pytest.approx(values)
    assert (np.diff(smooth(strengths, values[None], fine)[0]) <= 1e-9).all()


@given(last=st.floats(0.2, 0.8), width=st.floats(0.1, 0.3), bottom=st.floats(0, 0.4))
def test_the_edges_of_a_logistic_are_ninety_and_ten_percent(
    last: float, width: float, bottom: float
) -> None:
    curve = falling(last, last + width, bottom)
    found = measured(np.array([curve(s) for s in STRENGTHS]))
    assert found[1] == pytest.approx(bottom, abs=0.02)
    assert found[2:] == pytest.approx((last, last + width), abs=0.025)


def test_a_slow_fade_and_then_a_cliff() -> None:
    """Not logistic: .8 left at strength 1, nothing from 1.1 on. 90 % are left at .5."""
    values = np.where(STRENGTHS <= 1, 1 - 0.2 * STRENGTHS, np.clip(8.8 - 8 * STRENGTHS, 0, 1))
    top, bottom, last, first = measured(values)
    assert (top, bottom) == pytest.approx((1.0, 0.0), abs=0.01)
    assert last == pytest.approx(0.5, abs=0.02)
    assert first == pytest.approx(1.0875, abs=0.025)


def test_what_a_style_costs_at_once_is_not_part_of_the_fall() -> None:
    curve = falling(0.66, 0.8, top=0.9)
    values = np.array([1.0, *(curve(s) for s in STRENGTHS[1:])])
    top, _, last, _ = measured(values)
    assert top == pytest.approx(0.9, abs=0.01)
    assert last == pytest.approx(0.66, abs=0.02)


def test_many_curves_are_measured_as_each_alone() -> None:
    chance = np.random.default_rng(0)
    rows = np.array([[falling(0.5, 0.7)(s) for s in STRENGTHS]] * 3)
    rows += chance.normal(0, 0.05, rows.shape)
    together = shapes_of(STRENGTHS, rows, End.TAIL)
    alone = [shapes_of(STRENGTHS, row[None], End.TAIL) for row in rows]
    assert np.allclose(together.edges, [own.edges[0] for own in alone])


def test_where_the_range_ends_in_the_fall_it_has_no_tail() -> None:
    values = np.array([falling(1.3, 1.9)(s) for s in STRENGTHS])
    assert not shapes_of(STRENGTHS, values[None], End.TAIL).has_tail[0]
    _, bottom, last, first = measured(values, End.FALL)
    assert bottom == 0.0
    assert last == pytest.approx(1.3, abs=0.02)
    assert first == np.inf
