"""What a search found: the window, how sure it is, and the strength to use.

The window goes from the strength at which 90 % of the subject's fall is still ahead (the last
coherent one) to the one at which 10 % is left (the first broken one). The interval of each is a
bootstrap over seeds.

**The recommended strength** is the highest at which the subject is whole for certain: the lower
end of the last coherent strength's interval, rounded down. A LoRA does more the higher it is, so
that is where it does the most without harm. Where nothing falls it is 1, what the LoRA was trained
at, or the end of the range.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .bootstrap import Estimate
from .curve import Leg, Observation
from .search import LEAST_FALL, RESOLUTION, Look, Search, look

WIDEST_INTERVAL = 0.25
"""Of the range; an edge that is known less closely is not known."""

FOUND = "found"
SEVERAL = "several crossings"
UNSURE = "too uncertain"
UNFINISHED = "not broken in range"
BELOW = "broken at the lowest"
NONE = "no window in range"


@dataclass(frozen=True)
class Window:
    """The answer for one prompt.

    Attributes:
        verdict: one of the words above.
        last_coherent: highest strength at which the subject is whole; the end of the range where
            nothing falls, 0 where it is broken at the lowest.
        first_broken: lowest strength at which it has fallen apart; None where it never does.
        last_interval, first_interval: 90 % of the bootstrap; None without a fall.
        recommended: the strength to use.
        crossings: strengths at which the score crosses the middle, and whether it falls there.
        estimate: the curve of the first fall and its bootstrap, or None.
        noise: standard deviation of the means around the curve; between seeds where nothing falls.
        notes: what the person should know.
    """

    verdict: str
    last_coherent: float
    first_broken: float | None
    last_interval: tuple[float, float] | None
    first_interval: tuple[float, float] | None
    recommended: float
    crossings: tuple[tuple[float, bool], ...]
    estimate: Estimate | None
    noise: float
    notes: tuple[str, ...]

    @property
    def has_window(self) -> bool:
        """Whether both edges stand."""
        return self.verdict in (FOUND, SEVERAL)


def find_window(observed: Iterable[Observation], search: Search) -> Window:
    """Say what the observations of one prompt show; the same every time."""
    seen = look(tuple(observed))
    if seen.estimate is None:
        return _without_fall(seen, search)
    found = seen.estimate
    verdict = _verdict(seen, found, search)
    last = min(found.edges[0], search.highest)
    if verdict == BELOW:
        last = 0.0
    broken = found.edges[1] if found.edges[1] <= search.highest else None
    intervals = found.interval(0), found.interval(1)
    return Window(
        verdict=verdict,
        last_coherent=last,
        first_broken=broken,
        last_interval=intervals[0],
        first_interval=intervals[1],
        recommended=0.0 if verdict == BELOW else rounded_down(intervals[0][0]),
        crossings=tuple((leg.middle, leg.down) for leg in seen.legs),
        estimate=found,
        noise=found.noise,
        notes=_notes(verdict, seen, search),
    )


def rounded_down(strength: float) -> float:
    """The highest strength that a person would type and that is not above this one."""
    return round(max(math.floor(strength / RESOLUTION + 1e-9), 0) * RESOLUTION, 3)


def _without_fall(seen: Look, search: Search) -> Window:
    curve = seen.curve
    in_range = curve.strengths[curve.strengths >= search.lowest]
    lost = float(curve.means.max() - curve.means.min()) if len(curve.means) else 0.0
    notes = [
        f"The subject loses at most {max(lost, 0):.0%} between {search.lowest:g} and "
        f"{search.highest:g}; falling apart would be {LEAST_FALL:.0%} or more."
    ]
    if len(in_range) > 1:
        gap = float(np.diff(in_range).max())
        notes.append(f"A dip narrower than {gap:.2g} between two strengths would not be seen.")
    verdict = NONE
    if curve.turn > LEAST_FALL:
        verdict = UNSURE
        notes.append(
            f"Seeds differ by {curve.noise:.2f}: a fall could hide in that. Take more seeds."
        )
    return Window(
        verdict=verdict, last_coherent=search.highest, first_broken=None, last_interval=None,
        first_interval=None, recommended=rounded_down(min(1.0, search.highest)), crossings=(),
        estimate=None, noise=curve.noise, notes=tuple(notes),
    )  # fmt: skip


def _verdict(seen: Look, found: Estimate, search: Search) -> str:
    if search.lowest > 0 and found.edges[0] < search.lowest:
        return BELOW
    widest = WIDEST_INTERVAL * (search.highest - search.lowest)
    loose = [high - low > widest for low, high in (found.interval(0), found.interval(1))]
    if found.edges[1] > search.highest:
        return UNSURE if loose[0] else UNFINISHED
    if any(loose):
        return UNSURE
    return SEVERAL if _recovers(seen) else FOUND


def _recovers(seen: Look) -> bool:
    return seen.fall is not None and seen.fall is not seen.legs[-1]


def _notes(verdict: str, seen: Look, search: Search) -> tuple[str, ...]:
    notes = []
    if _recovers(seen):
        where = ", ".join(_crossing_text(leg) for leg in seen.legs)
        notes.append(f"The curve turns: {where}. The window is that of the first fall.")
    if verdict == UNFINISHED:
        notes.append(f"It begins to fall, but is not broken at {search.highest:g}; look higher.")
    if verdict == BELOW:
        notes.append(f"It falls before {search.lowest:g}, the lowest that was drawn; look lower.")
    if verdict == UNSURE and seen.estimate is not None:
        last, first = seen.estimate.interval(0), seen.estimate.interval(1)
        notes.append(
            f"The edges are only known to be in {last[0]:.2f} to {last[1]:.2f} and "
            f"{first[0]:.2f} to {first[1]:.2f}. Take more seeds or more strengths."
        )
    bottom = 0.0 if seen.estimate is None else float(seen.estimate.shape.bottoms[0])
    if bottom > 0.5:
        notes.append(f"It keeps {bottom:.0%} of its score: changed more than broken.")
    return tuple(notes)


def _crossing_text(leg: Leg) -> str:
    return f"{'down' if leg.down else 'up'} at {leg.middle:.2f}"
