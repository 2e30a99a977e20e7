"""What was measured, and where it goes down and up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Array = np.ndarray

SMALLEST_TURN = 0.2
"""A rise or fall of less is taken for noise."""
TURN_ERRORS = 4.0
"""And so is one of less than this many standard errors of a difference."""


@dataclass(frozen=True)
class Observation:
    """One picture.

    Attributes:
        strength: of the LoRA.
        seed: of the noise.
        score: how much of the subject is left; 1 as at strength 0, 0 an unrelated picture.
    """

    strength: float
    seed: int
    score: float


@dataclass(frozen=True)
class Leg:
    """A part of the curve that goes one way.

    Attributes:
        start, end: strengths.
        high, low: mean score at its upper and its lower end.
        down: whether it falls.
        middle: strength at which the means cross the middle between high and low.
    """

    start: float
    end: float
    high: float
    low: float
    down: bool
    middle: float


@dataclass(frozen=True)
class Curve:
    """Mean scores.

    Attributes:
        strengths: each once, ascending; (S,).
        means: over the seeds; (S,).
        counts: of seeds; (S,).
        noise: standard deviation between seeds of one strength; 0 where there is one seed only.
    """

    strengths: Array
    means: Array
    counts: Array
    noise: float

    @property
    def turn(self) -> float:
        """The smallest rise or fall that is believed."""
        seeds = float(self.counts.mean()) if len(self.counts) else 1.0
        return max(SMALLEST_TURN, TURN_ERRORS * self.noise * float(np.sqrt(2 / seeds)))

    def legs(self) -> tuple[Leg, ...]:
        """The believable falls and rises, in order."""
        corners = _corners(self.means, self.turn)
        return tuple(self._leg(first, last) for first, last in pairwise(corners))

    def _leg(self, first: int, last: int) -> Leg:
        start, end = self.means[first], self.means[last]
        down = bool(end < start)
        return Leg(
            start=float(self.strengths[first]),
            end=float(self.strengths[last]),
            high=float(max(start, end)),
            low=float(min(start, end)),
            down=down,
            middle=_crossing(
                self.strengths[first : last + 1], self.means[first : last + 1],
                float(start + end) / 2,
            ),
        )


def curve_of(observed: Iterable[Observation]) -> Curve:
    """Average over seeds."""
    by_strength: dict[float, list[float]] = {}
    for own in observed:
        by_strength.setdefault(own.strength, []).append(own.score)
    strengths = sorted(by_strength)
    groups = [np.array(by_strength[strength]) for strength in strengths]
    return Curve(
        strengths=np.array(strengths),
        means=np.array([group.mean() for group in groups]),
        counts=np.array([len(group) for group in groups]),
        noise=_between_seeds(groups),
    )


def _between_seeds(groups: Sequence[Array]) -> float:
    """The median: in the fall itself seeds differ by when they fall, which is no noise."""
    spreads = [float(group.std(ddof=1)) for group in groups if len(group) > 1]
    # Strength 0 is compared with itself and has no spread.
    return float(np.median([spread for spread in spreads if spread > 0] or [0.0]))


def _corners(means: Array, turn: float) -> list[int]:
    """Indices of the turning points between rises and falls of at least ``turn``, ends included.

    A high or low becomes a corner once the curve has gone back from it by ``turn``.
    """
    corners: list[int] = []
    low = high = going = 0
    for index, mean in enumerate(means):
        if going <= 0 and mean < means[low]:
            low = index
        if going >= 0 and mean > means[high]:
            high = index
        if going >= 0 and mean <= means[high] - turn:
            corners.append(high)
            going, low = -1, index
        elif going <= 0 and mean >= means[low] + turn:
            corners.append(low)
            going, high = 1, index
    return [*corners, low if going < 0 else high] if going else []


def _crossing(strengths: Array, means: Array, level: float) -> float:
    """The first strength at which straight lines through the means cross the level."""
    above = means >= level
    for index in range(1, len(means)):
        if above[index] != above[index - 1]:
            share = (level - means[index - 1]) / (means[index] - means[index - 1])
            step = strengths[index] - strengths[index - 1]
            return float(strengths[index - 1] + share * step)
    return float(strengths[-1])
