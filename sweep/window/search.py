"""What is searched: the range of strengths and how many of them may be drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ...core.errors import ConfigError
from .bootstrap import Estimate, estimate
from .curve import Curve, Leg, Observation, curve_of

RESOLUTION = 0.005
"""Strengths are multiples of it, so that a person can type them."""
LEAST_FALL = 0.4
"""A subject that loses less of its score than this has not fallen apart: it has changed."""
COARSE = 7
BATCH = 2
BUDGET = 13
LEAST_BUDGET = 5
LEAST_RANGE = 0.1


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search for the strength at which a subject falls apart.

    Attributes:
        lowest, highest: the range of strengths, from 0 up.
        budget: most strengths that are drawn, strength 0 among them.
        coarse: strengths of the first round, over the whole range.
        batch: strengths of each further round; they are drawn together.

    Raises:
        ConfigError: the range is empty or below 0, or the budget too small.
    """

    lowest: float = 0.0
    highest: float = 1.6
    budget: int = BUDGET
    coarse: int = COARSE
    batch: int = BATCH

    def __post_init__(self) -> None:
        wide = round(self.highest - self.lowest, 6) if math.isfinite(self.highest) else -1.0
        if not (self.lowest >= 0 and wide >= LEAST_RANGE):
            raise ConfigError(
                f"The strengths to search are {self.lowest:g} to {self.highest:g}",
                expected="a range from 0 up, at least .1 wide",
                remedy="Set lowest to 0 and highest to 1.6 when you do not know better",
            )
        if self.budget < LEAST_BUDGET:
            raise ConfigError(
                f"The search may draw {self.budget} strengths",
                expected=f"at least {LEAST_BUDGET}",
                remedy="Take 13: seven to see where the subject falls, six to look closely",
            )

    @property
    def first_round(self) -> tuple[float, ...]:
        """Strength 0 to compare with, and the range in even steps."""
        count = min(self.coarse, self.budget - 1)
        count -= self.lowest > 0
        step = (self.highest - self.lowest) / (count - 1)
        inner = [rounded(self.lowest + step * number) for number in range(1, count - 1)]
        return tuple(sorted({0.0, self.lowest, *inner, self.highest}))


@dataclass(frozen=True)
class Look:
    """What one look at the observations shows.

    Attributes:
        curve: mean scores over all strengths.
        legs: its believable falls and rises.
        fall: the first leg after which the subject has fallen apart, or None.
        used: the observations up to the end of that fall.
        estimate: of ``used``, or None where nothing falls.
    """

    curve: Curve
    legs: tuple[Leg, ...]
    fall: Leg | None
    used: tuple[Observation, ...]
    estimate: Estimate | None


def look(observed: Iterable[Observation]) -> Look:
    """Find the first fall and measure it."""
    everything = tuple(observed)
    curve = curve_of(everything)
    legs = curve.legs()
    fall = _first_fall(legs)
    if fall is None:
        return Look(curve, legs, None, everything, None)
    # Where the curve rises again, what comes after belongs to another story.
    rises = fall is not legs[-1]
    used = tuple(own for own in everything if not rises or own.strength <= fall.end)
    return Look(curve, legs, fall, used, estimate(used, rises))


def _first_fall(legs: Iterable[Leg]) -> Leg | None:
    """The one that ends far enough below where the subject was, if it did so in several steps."""
    highest = 0.0
    for leg in legs:
        highest = max(highest, leg.high)
        if leg.down and highest - leg.low >= LEAST_FALL:
            return leg
    return None


def rounded(strength: float) -> float:
    """The nearest strength that a person would type."""
    return round(round(strength / RESOLUTION) * RESOLUTION, 3)
