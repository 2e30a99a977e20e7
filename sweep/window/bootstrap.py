"""How far the edges of a window would move with other seeds.

A seed's curve is one draw from all seeds' curves. With few seeds they are not drawn again (three
have only ten different draws): their distances from the mean are weighed by normal numbers, the
multiplier bootstrap, which has the right spread for any number of seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .curve import Array, Observation
from .shape import End, Shapes, never_rising, shapes_of

REPLICATES = 300
SHARE = 0.9
"""Of the replicates inside an interval."""
STUDENT = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812)
"""Student's t at .95 with 1, 2, ... degrees of freedom."""
NORMAL = 1.645
UNSEEN = 0.25
"""Of the gap that an edge lies in; found by simulation (benchmarks/window.py)."""
_SEED = 20261121


@dataclass(frozen=True, eq=False)
class Estimate:
    """The curve, and what other seeds might have given.

    Attributes:
        shape: of the mean of the seeds; one curve.
        others: edges as in ``Shapes``, one pair per replicate; (REPLICATES, 2).
        band: lower and upper score at each of the shape's strengths.
        noise: standard deviation of the means around the curve that never rises.
        seeds: how many there were.
        drawn: strengths of the pictures, ascending; (N,).
    """

    shape: Shapes
    others: Array
    band: tuple[Array, Array]
    noise: float
    seeds: int
    drawn: Array

    @property
    def edges(self) -> tuple[float, float]:
        """Last coherent and first broken strength; infinite where the curve ends before."""
        last, first = self.shape.edges[0]
        return float(last), float(first)

    def interval(self, edge: int) -> tuple[float, float]:
        """Of an edge, within the range; what lies beyond the range counts as its end.

        A spread known from few seeds is itself known badly, so the distances from the edge grow
        as Student's t does. Between two strengths nothing was drawn: a part of the gap is added.
        """
        end = float(self.drawn[-1])
        own = min(self.edges[edge], end)
        low, high = np.quantile(np.minimum(self.others[:, edge], end), _ends())
        wider = 1.0
        if self.seeds > 1:
            wider = STUDENT[min(self.seeds - 1, len(STUDENT)) - 1] / NORMAL
        slack = UNSEEN * self._gap(own)
        low, high = own - wider * max(own - low, 0.0), own + wider * max(high - own, 0.0)
        return max(float(low - slack), 0.0), min(float(high + slack), end)

    def _gap(self, strength: float) -> float:
        """Between the two strengths that were drawn around this one."""
        right = int(np.clip(np.searchsorted(self.drawn, strength), 1, len(self.drawn) - 1))
        return float(self.drawn[right] - self.drawn[right - 1])


def estimate(observed: Sequence[Observation], rises: bool) -> Estimate:
    """Measure the mean curve and its replicates; the same every time.

    Args:
        observed: pictures up to the end of the fall.
        rises: whether the curve rises again behind them.
    """
    strengths, scores = _by_seed(observed)
    mean = scores.mean(axis=0)
    end = End.RISE if rises else End.TAIL
    shape = shapes_of(strengths, mean[None], end)
    if end is End.TAIL and not shape.has_tail[0]:
        end = End.FALL
        shape = shapes_of(strengths, mean[None], end)
    residuals = mean - never_rising(mean[None])[0]
    others = shapes_of(strengths, mean + _distances(scores - mean, residuals), end)
    low, high = np.quantile(others.values, _ends(), axis=0)
    return Estimate(
        shape=shape,
        others=others.edges,
        band=(low, high),
        noise=float(residuals.std()),
        seeds=len(scores),
        drawn=strengths,
    )


def _distances(own: Array, residuals: Array) -> Array:
    """How far means of other seeds would be from this one; (REPLICATES, N).

    Args:
        own: of each seed's curve; (seeds, N).
        residuals: of the mean from the curve that never rises; (N,).
    """
    chance = np.random.default_rng(_SEED)
    seeds = len(own)
    if seeds == 1:
        # Nothing is known of other seeds; what is left is what the curve does not explain.
        return chance.choice(residuals, size=(REPLICATES, len(residuals)))
    return chance.normal(size=(REPLICATES, seeds)) @ own / np.sqrt(seeds * (seeds - 1))


def _by_seed(observed: Sequence[Observation]) -> tuple[Array, Array]:
    """Strengths (N,), and scores (seeds, N).

    Seeds are far apart from each other, but each one's curve is smooth: where a picture could not
    be drawn, the line between its neighbours stands in.
    """
    strengths = np.array(sorted({own.strength for own in observed}))
    scores = []
    for seed in sorted({own.seed for own in observed}):
        own = sorted((seen.strength, seen.score) for seen in observed if seen.seed == seed)
        drawn, found = np.array(own).T
        scores.append(np.interp(strengths, drawn, found))
    return strengths, np.array(scores)


def _ends() -> list[float]:
    return [(1 - SHARE) / 2, (1 + SHARE) / 2]
