"""Which strengths to draw next: ask, draw, tell, ask again.

First the whole range in even steps. Then always the middle of the widest gap between two strengths
that an edge lies in: bisection, which finds the edges of any curve. Where an edge lies is known
only so well, so a gap counts by its width times the share of the bootstrap's edges in it. Nothing
is remembered between rounds: what was observed is the whole state, so that a search may be
interrupted and go on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import pairwise

import numpy as np

from .bootstrap import Estimate
from .curve import Array, Observation
from .search import RESOLUTION, Search, look, rounded

NARROWEST = 1 / 80
"""Of the range: nearer strengths of one seed give nearly the same picture, which tells nothing."""
TRUST = 0.5
"""Weight of the best estimate of an edge; the rest is the bootstrap's."""
UNSEEN = 0.3
"""How much the gap behind the lowest score counts."""


def next_strengths(
    observed: Iterable[Observation], search: Search, failed: Collection[float] = ()
) -> tuple[float, ...]:
    """The strengths of the next round, ascending; empty when the search is over.

    Args:
        observed: all pictures so far, of one prompt.
        search: range and budget.
        failed: strengths that were tried and could not be drawn; not asked for again.
    """
    so_far = tuple(observed)
    drawn = {own.strength for own in so_far} | set(failed)
    missing = tuple(strength for strength in search.first_round if strength not in drawn)
    if missing:
        return missing
    seen = look(so_far)
    room = min(search.batch, search.budget - len(drawn))
    if seen.estimate is None or room <= 0:
        return ()
    return _bisected(seen.estimate, drawn, search, room)


def _bisected(
    estimate: Estimate, drawn: set[float], search: Search, room: int
) -> tuple[float, ...]:
    """Middles of the gaps in which the edges are, the most worth first."""
    narrowest = max(NARROWEST * (search.highest - search.lowest), RESOLUTION)
    taken = set(drawn)
    chosen: list[float] = []
    while len(chosen) < room:
        gaps = [
            gap for gap in pairwise(sorted(taken))
            if gap[0] >= search.lowest and gap[1] - gap[0] >= 2 * narrowest - 1e-9
        ]  # fmt: skip
        worth = [_worth(estimate, gap) for gap in gaps]
        if not gaps or max(worth) <= 0:
            break
        low, high = gaps[int(np.argmax(worth))]
        chosen.append(rounded((low + high) / 2))
        taken.add(chosen[-1])
    return tuple(sorted(chosen))


def _worth(estimate: Estimate, gap: tuple[float, float]) -> float:
    """Its width times how sure an edge is in it."""
    if gap[0] == estimate.shape.strengths[-1]:
        # The curve rises from here, or from within this gap: then the fall goes on in it.
        return UNSEEN * (gap[1] - gap[0])
    sure = TRUST * _inside(estimate.shape.edges, gap)
    return (gap[1] - gap[0]) * float(sure + (1 - TRUST) * _inside(estimate.others, gap))


def _inside(edges: Array, gap: tuple[float, float]) -> float:
    """Mean number of edges (R, 2) in the gap."""
    return float(((edges > gap[0]) & (edges <= gap[1])).sum(axis=1).mean())
