"""Which settings are worth a look: the Pareto front over scores that pull in different ways.

A setting is on the front when no other one is at least as good in every score and better in one.
No score and no sum of scores says which of them is the best: that is for the person to see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .cell_settings import CellSettings
from .groups import groups_of
from .score import Scored, ScoreInput, scores

MOST_LISTED = 5
WISHES = (("likeness", "effect_size"), ("prompt", "structure"), ("burn",))
"""Per goal the scores that stand for it, the first that there is; taken as below where they are
called neither good nor bad in themselves."""
_SIGN = {"higher": 1.0, "lower": -1.0, "neither": 1.0}


@dataclass(frozen=True)
class Candidate:
    """Cells of equal settings, seeds and prompts aside.

    Attributes:
        settings: what they share.
        cells: their indices.
        means: of each goal.
        spreads: standard deviation of each goal over the seeds of a prompt, all prompts pooled;
            over the prompts where each has one seed; 0 with a single cell.
        is_copy: whether one of the cells is flagged as copied from the training set.
    """

    settings: CellSettings
    cells: tuple[int, ...]
    means: Mapping[str, float]
    spreads: Mapping[str, float]
    is_copy: bool


@dataclass(frozen=True)
class Choice:
    """What is worth a look.

    Attributes:
        goals: names of the scores that were weighed.
        candidates: every setting with the LoRA.
        front: those that no other one beats, copies left out.
        shortlist: up to five of the front: the most balanced first, then those least alike.
    """

    goals: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    front: tuple[Candidate, ...]
    shortlist: tuple[Candidate, ...]


def choose(given: ScoreInput, found: Mapping[str, Scored]) -> Choice:
    """Weigh the settings of a scored sweep."""
    goals = goals_among(found)
    candidates = _candidates(given, found, goals)
    # A copy has the highest likeness of all: it must not push others off the front.
    honest = [candidate for candidate in candidates if not candidate.is_copy]
    points = _points(honest, goals)
    front = [own for own, is_on in zip(honest, front_of(points), strict=True) if is_on]
    return Choice(goals, candidates, tuple(front), _shortlist(front, goals))


def goals_among(found: Mapping[str, Scored]) -> tuple[str, ...]:
    """The scores that stand for likeness, for what was asked for, and for being unburnt."""
    chosen = (next((name for name in names if name in found), None) for names in WISHES)
    return tuple(name for name in chosen if name is not None)


def front_of(points: np.ndarray) -> np.ndarray:
    """Whether each point is on the Pareto front.

    Args:
        points: (N, G), more is better in every column.

    Returns:
        (N,) bool. Equal points are on it together.
    """
    if not points.size:
        return np.ones(len(points), dtype=bool)
    on_front = np.empty(len(points), dtype=bool)
    for index, point in enumerate(points):
        at_least = (points >= point).all(1)
        better = (points > point).any(1)
        on_front[index] = not bool((at_least & better).any())
    return on_front


def _candidates(
    given: ScoreInput, found: Mapping[str, Scored], goals: Sequence[str]
) -> tuple[Candidate, ...]:
    copies = found["memorisation"].details["flag"] if "memorisation" in found else {}
    made = []
    for group in groups_of(given.cells, prompts=True):
        columns = {
            goal: [found[goal].values[i] for i in group.cells if i in found[goal].values]
            for goal in goals
        }
        if group.settings.has_lora and goals and all(columns.values()):
            made.append(
                Candidate(
                    group.settings,
                    group.cells,
                    {goal: float(np.mean(own)) for goal, own in columns.items()},
                    {goal: _spread(given, group.cells, found[goal]) for goal in goals},
                    any(copies.get(index) for index in group.cells),
                )
            )
    return tuple(made)


def _spread(given: ScoreInput, cells: Sequence[int], scored: Scored) -> float:
    prompts: dict[str, list[float]] = {}
    for index in cells:
        if index in scored.values:
            prompt = given.plan.cells[index].settings.prompt
            prompts.setdefault(prompt, []).append(scored.values[index])
    seeded = [np.var(own) for own in prompts.values() if len(own) > 1]
    if seeded:
        return float(np.sqrt(np.mean(seeded)))
    return float(np.std([value for own in prompts.values() for value in own]))


def _points(candidates: Sequence[Candidate], goals: Sequence[str]) -> np.ndarray:
    known = scores()
    signs = np.array([_SIGN[known[goal].better] for goal in goals])
    rows = [[candidate.means[goal] for goal in goals] for candidate in candidates]
    points: np.ndarray = np.array(rows, dtype=np.float64).reshape(len(rows), len(goals)) * signs
    return points


def _shortlist(front: Sequence[Candidate], goals: Sequence[str]) -> tuple[Candidate, ...]:
    """The most balanced, then again and again the one farthest from all that are listed."""
    if not front:
        return ()
    points = _points(front, goals)
    span = np.ptp(points, axis=0)
    spread = (points - points.min(0)) / np.where(span > 0, span, 1.0)
    # Balanced: its worst goal, as a share of what the front reaches there, is the best such one.
    shares = np.where(span > 0, spread, 1.0)
    listed = [max(range(len(front)), key=lambda i: (shares[i].min(), shares[i].sum(), -i))]
    while len(listed) < min(MOST_LISTED, len(front)):
        gaps = np.linalg.norm(spread[:, None] - spread[listed][None], axis=-1).min(1)
        gaps[listed] = -1.0
        listed.append(int(gaps.argmax()))
    return tuple(front[index] for index in listed)
