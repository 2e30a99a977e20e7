"""What a search found: the window, how sure it is, and the strength to use.

The window goes from the strength at which 90 % of the subject's fall is still ahead (the last
coherent one) to the one at which 10 % is left (the first broken one). The interval of each is a
bootstrap over seeds and pictures that holds the edge nine times in ten (measured on known windows:
benchmarks/window.py).

**The recommended strength** is the highest at which the subject is whole for certain: the lower
end of the last coherent strength's interval, rounded down. A LoRA does more the higher it is, so
that is where it does the most without harm. Where nothing falls it is 1, what the LoRA was trained
at, or the end of what was drawn.

**"Too uncertain" is an answer.** The edges are then those of the seeds that were drawn, and only
their intervals are claimed. The recommended strength stays on the safe side of them; it may be so
low that the LoRA does little.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .bootstrap import ONE_NOISE, ONE_SHIFT, Estimate
from .curve import Curve, Leg, Observation
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
        last_coherent: highest strength at which the subject is whole; the end of what was drawn
            where nothing falls, 0 where it is broken at the lowest; where noise hides whether it
            falls, the strength up to which the mean of the seeds has not.
        first_broken: lowest strength at which it has fallen apart; None where it never does.
        last_interval, first_interval: 90 % intervals; None without a fall.
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
    last = min(found.edges[0], float(found.drawn[-1]))
    broken = found.edges[1] if found.edges[1] <= search.highest else None
    intervals = found.interval(0), found.interval(1)
    if verdict == BELOW:
        # Nothing was drawn between 0 and the lowest, and an edge may be anywhere in there.
        unseen = 0.0, search.lowest
        last, intervals = 0.0, (unseen, unseen if found.edges[1] < search.lowest else intervals[1])
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
    reach = _reach(curve)
    last = reach
    hidden = curve.turn > LEAST_FALL
    notes = [*_undrawn(curve, search)]
    lost = float(curve.means.max() - curve.means.min()) if len(curve.means) else 0.0
    if hidden:
        last = _unfallen(curve)
        notes.append(
            f"Seeds differ by {curve.noise:.2f}: a fall could hide in that. Take more seeds."
        )
    elif reach > search.lowest:
        notes.append(
            f"The subject loses at most {max(lost, 0):.0%} between {search.lowest:g} and "
            f"{reach:g}; falling apart would be {LEAST_FALL:.0%} or more."
        )
    in_range = curve.strengths[curve.strengths >= search.lowest]
    if len(in_range) > 1:
        gap = float(np.diff(in_range).max())
        notes.append(f"A dip narrower than {gap:.2g} between two strengths would not be seen.")
    return Window(
        verdict=UNSURE if hidden or _undrawn(curve, search) else NONE, last_coherent=last,
        first_broken=None, last_interval=None, first_interval=None,
        recommended=rounded_down(min(1.0, last)), crossings=(), estimate=None, noise=curve.noise,
        notes=tuple(notes),
    )  # fmt: skip


def _reach(curve: Curve) -> float:
    """The highest strength of which there is a picture."""
    return float(curve.strengths[-1]) if len(curve.strengths) else 0.0


def _unfallen(curve: Curve) -> float:
    """The last strength before the mean is so low that the subject would have fallen apart."""
    low = curve.means < 1 - LEAST_FALL
    return float(curve.strengths[max(int(np.argmax(low)) - 1, 0)]) if low.any() else _reach(curve)


def _undrawn(curve: Curve, search: Search) -> list[str]:
    """That the range does not end where it was meant to: models may give NaN at high strengths."""
    reach = _reach(curve)
    if reach >= search.highest:
        return []
    return [f"Above {reach:g} nothing could be drawn: a strength up there is not to be used."]


def _verdict(seen: Look, found: Estimate, search: Search) -> str:
    if search.lowest > 0 and found.edges[0] < search.lowest:
        return BELOW
    widest = WIDEST_INTERVAL * (search.highest - search.lowest)
    loose = [high - low > widest for low, high in (found.interval(0), found.interval(1))]
    if found.edges[1] > search.highest:
        return UNSURE if loose[0] else UNFINISHED
    if any(loose):
        return UNSURE
    return SEVERAL if _turns(seen) else FOUND


def _turns(seen: Look) -> bool:
    return len(seen.legs) > 1


def _notes(verdict: str, seen: Look, search: Search) -> tuple[str, ...]:
    notes = []
    if _turns(seen) and seen.fall is not None:
        where = ", ".join(_crossing_text(leg) for leg in seen.legs)
        which = "first fall" if seen.fall is seen.legs[0] else f"fall at {seen.fall.middle:.2f}"
        notes.append(f"The curve turns: {where}. The window is that of the {which}.")
    if verdict == UNFINISHED:
        reach = _reach(seen.curve)
        notes.append(f"It begins to fall, but is not broken at {reach:g}; look higher.")
    if verdict == BELOW:
        notes.append(f"It falls before {search.lowest:g}, the lowest that was drawn; look lower.")
    if verdict == UNSURE and seen.estimate is not None:
        last, first = seen.estimate.interval(0), seen.estimate.interval(1)
        notes.append(
            f"The edges are only known to be in {last[0]:.2f} to {last[1]:.2f} and "
            f"{first[0]:.2f} to {first[1]:.2f}. Take more seeds or more strengths."
        )
        if rounded_down(last[0]) == 0:
            notes.append("Seeds disagree from the start: no strength is safe for certain.")
    notes += _undrawn(seen.curve, search)
    if seen.estimate is not None and seen.estimate.seeds == 1:
        notes.append(
            f"One seed: how far others differ is assumed ({ONE_SHIFT:g} of strength, "
            f"{ONE_NOISE:g} of score), not seen."
        )
    bottom = 0.0 if seen.estimate is None else float(seen.estimate.shape.bottoms[0])
    if bottom > 0.5:
        notes.append(f"It keeps {bottom:.0%} of its score: changed more than broken.")
    return tuple(notes)


def _crossing_text(leg: Leg) -> str:
    return f"{'down' if leg.down else 'up'} at {leg.middle:.2f}"
