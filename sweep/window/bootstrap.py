"""How far the edges of a window would move with other seeds.

A seed's curve is one draw from all seeds' curves. With few seeds they are not drawn again (three
have only ten different draws): their distances from the mean are weighed by normal numbers, the
multiplier bootstrap, which has the right spread for any number of seeds.

A seed's distance has two parts. Where it lies earlier or later than others it does so over many
strengths: of that there are as many examples as seeds, so its spread is itself known badly, and
the replicates of it follow Student's t. Each picture is off for itself, too: of that there are as
many examples as pictures, and normal numbers will do. Taken apart, intervals are a tenth narrower
and hold as often. How often they hold is measured by benchmarks/window.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .curve import Array, Observation
from .shape import KEPT, End, Shapes, never_rising, shapes_of

REPLICATES = 300
SHARE = 0.9
"""Of the replicates inside an interval."""
UNSEEN = 0.25
"""Of the gap that an edge lies in; found by simulation (benchmarks/window.py)."""
ONE_SHIFT, ONE_NOISE = 0.02, 0.06
"""Standard deviations of strength and of score that are assumed of other seeds, and of a picture,
where one seed was drawn and shows neither; as in benchmarks/window.py."""
LEAST_FOR_NOISE = 4
"""Strengths; of fewer, all is taken to be the seeds'."""
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

        Noise makes a fall look longer than it is, and replicates have it twice: where they reach
        farther out of the window than into it, the edge is put into their middle. Between two
        strengths nothing was drawn: a part of the gap is added.
        """
        end = float(self.drawn[-1])
        own = min(self.edges[edge], end)
        low, high = np.quantile(np.minimum(self.others[:, edge], end), _ends())
        below, above = max(own - float(low), 0.0), max(float(high) - own, 0.0)
        outward, inward = (below, above) if edge == KEPT.index(max(KEPT)) else (above, below)
        if outward > inward:
            below = above = (below + above) / 2
        slack = UNSEEN * self._gap(own)
        return max(own - below - slack, 0.0), min(own + above + slack, end)

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
    if len(scores) > 1:
        distances = _distances(strengths, scores - mean)
    else:
        distances = _assumed(strengths, mean, residuals)
    others = shapes_of(strengths, mean + distances, end)
    low, high = np.quantile(others.values, _ends(), axis=0)
    return Estimate(
        shape=shape,
        others=others.edges,
        band=(low, high),
        noise=float(residuals.std()),
        seeds=len(scores),
        drawn=strengths,
    )


def _distances(strengths: Array, own: Array) -> Array:
    """How far means of other seeds would be from this one; (REPLICATES, N).

    Args:
        strengths: ascending; (N,).
        own: of each seed's curve, two or more; (seeds, N).
    """
    chance = np.random.default_rng(_SEED)
    seeds, count = own.shape
    variance = (own**2).sum(axis=0) / (seeds - 1)
    noise = _noise(strengths, own)
    # What is left of each strength's spread when the noise is taken out.
    share = 1 - noise**2 / np.maximum(variance, 1e-12)
    together = own * np.sqrt(np.clip(share, 0.0, 1.0))
    student = np.sqrt((seeds - 1) / chance.chisquare(seeds - 1, size=(REPLICATES, 1)))
    far = chance.normal(size=(REPLICATES, seeds)) @ together / np.sqrt(seeds * (seeds - 1))
    # Strength 0 is compared with itself and is off by nothing.
    alone = chance.normal(size=(REPLICATES, count)) * noise * (variance > 0) / np.sqrt(seeds)
    return far * student + alone


def _noise(strengths: Array, own: Array) -> float:
    """Standard deviation of a single picture: how far it is from the line between its neighbours.

    The median over strengths: in the fall itself a seed that falls elsewhere is far from any line.
    """
    seeds, count = own.shape
    if count < LEAST_FOR_NOISE:
        return 0.0
    share = (strengths[1:-1] - strengths[:-2]) / (strengths[2:] - strengths[:-2])
    off = own[:, 1:-1] - (1 - share) * own[:, :-2] - share * own[:, 2:]
    variances = (off**2).sum(axis=0) / (seeds - 1) / (1 + share**2 + (1 - share) ** 2)
    # The median of chi-squared over its degrees of freedom (Wilson and Hilferty 1931).
    return float(np.sqrt(np.median(variances) / (1 - 2 / (9 * (seeds - 1))) ** 3))


def _assumed(strengths: Array, mean: Array, residuals: Array) -> Array:
    """Distances where there is one seed and nothing is known of others; (REPLICATES, N)."""
    chance = np.random.default_rng(_SEED)
    slope = np.gradient(never_rising(mean[None])[0], strengths)
    shift = chance.normal(size=(REPLICATES, 1)) * ONE_SHIFT
    noise = np.full(len(strengths), max(ONE_NOISE, float(residuals.std())))
    noise[strengths == 0] = 0.0
    return shift * slope + chance.normal(size=(REPLICATES, len(strengths))) * noise


def _by_seed(observed: Sequence[Observation]) -> tuple[Array, Array]:
    """Strengths (N,), and scores (seeds, N).

    Seeds are far apart from each other, but each one's curve is smooth: where a picture could not
    be drawn, the line between its neighbours stands in. Before a seed's first and after its last
    picture there is no such line, and the mean of the others stands in.
    """
    strengths = np.array(sorted({own.strength for own in observed}))
    scores = []
    for seed in sorted({own.seed for own in observed}):
        own = sorted((seen.strength, seen.score) for seen in observed if seen.seed == seed)
        drawn, found = np.array(own).T
        scores.append(np.interp(strengths, drawn, found, left=np.nan, right=np.nan))
    table = np.array(scores)
    return strengths, np.where(np.isnan(table), np.nanmean(table, axis=0), table)


def _ends() -> list[float]:
    return [(1 - SHARE) / 2, (1 + SHARE) / 2]
