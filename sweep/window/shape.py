"""The shape of a fall, whatever it is: a curve that never rises, its plateaus, and both edges.

No formula is fitted. The curve is the isotonic regression of the means (Barlow et al. 1972), with
cubics through it that never rise either (Fritsch and Carlson 1980), so the more strengths are
drawn the closer it comes to what a dense sweep shows. All functions take many curves at once,
since a bootstrap has hundreds.

**Top** and **bottom** are what the fall goes between. The top is where the first half of the way
down would have begun: the line through two of its points, continued to strength 0. A slow fade
begins at 1; what is lost at once and then stays, such as a change of style, is not part of the
fall. The bottom is the mean of the second half of the tail; the lowest score where the curve rises
again; 0 where the range ends before there is a tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from .curve import Array

KEPT = (0.9, 0.1)
"""Of the fall is still ahead at the last coherent and at the first broken strength."""
POINTS = 641
"""Of the curve between the lowest and the highest strength."""
ROUNDS = 4
EARLY, LATE = 0.35, 0.75
"""Points on the first half of the way down, as shares of its strengths."""
LEAST_TAIL = 0.5
"""Of the distance between the edges: a shorter tail is none."""
LOW_ENOUGH = 0.2
"""A curve this low has nowhere to fall."""
NOWHERE = float("inf")


class End(Enum):
    """What is behind the last strength."""

    TAIL = "the curve has come to rest"
    RISE = "it rises again"
    FALL = "it may still be falling"


@dataclass(frozen=True, eq=False)
class Shapes:
    """R curves over the same strengths.

    Attributes:
        strengths: evenly spaced; (POINTS,).
        values: scores that never rise; (R, POINTS).
        tops, bottoms: what each falls between; (R,).
        edges: last coherent and first broken strength of each, infinite where the curve does not
            come so low; (R, 2).
    """

    strengths: Array
    values: Array
    tops: Array
    bottoms: Array
    edges: Array

    @property
    def has_tail(self) -> Array:
        """Whether each comes to rest within its range; (R,)."""
        last, first = self.edges.T
        rest = np.where(np.isfinite(first), self.strengths[-1] - first, -NOWHERE)
        width = np.where(np.isfinite(first), first - last, 0.0)
        return (self.bottoms <= LOW_ENOUGH) | (rest >= LEAST_TAIL * width)


def shapes_of(strengths: Array, means: Array, end: End) -> Shapes:
    """Measure curves.

    Args:
        strengths: ascending; (N,).
        means: over seeds; (R, N).
        end: what is behind the last strength.
    """
    grid = np.linspace(strengths[0], strengths[-1], POINTS)
    values = smooth(strengths, never_rising(means), grid)
    tops, bottoms = np.ones(len(values)), values[:, -1]
    if end is End.FALL:
        bottoms = np.zeros(len(values))
    for _ in range(ROUNDS):
        half = np.minimum(crossings(grid, values, (tops + bottoms) / 2), grid[-1])
        tops = _top(grid, values, half)
        if end is End.TAIL:
            bottoms = _mean_after(grid, values, (half + grid[-1]) / 2)
    levels = [bottoms + kept * (tops - bottoms) for kept in KEPT]
    edges = np.stack([crossings(grid, values, own) for own in levels], axis=1)
    return Shapes(grid, values, tops, bottoms, edges)


def never_rising(means: Array) -> Array:
    """The nearest curves that never rise, by squares; (R, N) -> (R, N).

    The max-min formula of isotonic regression: the value at i is the largest, over all ends from
    i on, of the smallest mean from any beginning up to i.
    """
    count = means.shape[1]
    sums = np.pad(np.cumsum(means, axis=1), ((0, 0), (1, 0)))
    first, last = np.arange(count)[:, None], np.arange(count)[None] + 1
    fits = first < last
    mean = (sums[:, last] - sums[:, first]) / np.where(fits, last - first, 1)
    smallest = np.minimum.accumulate(np.where(fits, mean, np.inf), axis=1)
    return np.where(fits, smallest, -np.inf).max(axis=2)


def smooth(strengths: Array, values: Array, places: Array) -> Array:
    """Cubics through monotone points (R, N) that stay monotone, at places (P,); (R, P)."""
    steps = np.diff(strengths)
    slopes = np.diff(values, axis=1) / steps
    before, after = slopes[:, :-1], slopes[:, 1:]
    # Weighted harmonic means of the slopes on both sides: 0 as soon as one of them is.
    left, right = 2 * steps[1:] + steps[:-1], steps[1:] + 2 * steps[:-1]
    falling = before * after > 0
    inner = np.where(
        falling,
        (left + right)
        / (left / np.where(falling, before, 1) + right / np.where(falling, after, 1)),
        0.0,
    )
    tangents = np.concatenate([slopes[:, :1], inner, slopes[:, -1:]], axis=1)
    index = np.clip(np.searchsorted(strengths, places, side="right") - 1, 0, len(steps) - 1)
    step = steps[index]
    t = (places - strengths[index]) / step
    return (
        values[:, index] * (1 + 2 * t) * (1 - t) ** 2
        + tangents[:, index] * step * t * (1 - t) ** 2
        + values[:, index + 1] * t**2 * (3 - 2 * t)
        + tangents[:, index + 1] * step * t**2 * (t - 1)
    )


def crossings(grid: Array, values: Array, levels: Array) -> Array:
    """Where curves (R, P) first come below levels (R,); infinite where they do not."""
    after = (values >= levels[:, None]).sum(axis=1)
    right = np.clip(after, 1, len(grid) - 1)
    rows = np.arange(len(values))
    high, low = values[rows, right - 1], values[rows, right]
    share = (high - levels) / np.maximum(high - low, 1e-12)
    at = grid[right - 1] + share * (grid[right] - grid[right - 1])
    return np.where(after >= len(grid), NOWHERE, np.where(after == 0, grid[0], at))


def _top(grid: Array, values: Array, half: Array) -> Array:
    early, late = (_at(grid, values, share * half) for share in (EARLY, LATE))
    return np.minimum(early + (early - late) * EARLY / (LATE - EARLY), 1.0)


def _at(grid: Array, values: Array, places: Array) -> Array:
    """Each curve at its own place, to the nearest point; (R,)."""
    share = (places - grid[0]) / (grid[-1] - grid[0])
    return values[np.arange(len(values)), np.rint(share * (len(grid) - 1)).astype(int)]


def _mean_after(grid: Array, values: Array, places: Array) -> Array:
    """Mean of each curve from its own place on; (R,)."""
    behind = grid >= np.minimum(places, grid[-1])[:, None]
    return (values * behind).sum(axis=1) / behind.sum(axis=1)
