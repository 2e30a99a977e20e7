"""Whether colours move to the training set's, past them, or somewhere else.

The colours of a picture are three curves: the sorted values of L*, a* and b* (quantile
functions). Their distance is the Wasserstein-2 distance of the channels, and on a line these
curves form a flat space, so that there is a straight way from the base to the set.
"""

from __future__ import annotations

import numpy as np

from ..look import pooled_colours
from ..score import BASE, TRAINING, Score, Scored, ScoreInput

FAINTEST = 1.0
"""Lab units: what the eye just tells apart."""


def compute(given: ScoreInput) -> Scored:
    """How much nearer (negative) or farther the colours are, how far along the way, and the word.

    ``way`` is 0 at the base and 1 at the training set; ``aside`` is the distance from the straight
    way, in L*a*b* units.
    """
    target = pooled_colours([picture.look for picture in given.training])
    values: dict[int, float] = {}
    details: dict[str, dict[int, float | str]] = {"way": {}, "aside": {}, "word": {}}
    for index, base in given.bases.items():
        here, alone = given.looks[index].colours, given.looks[base].colours
        before, after = colour_distance(alone, target), colour_distance(here, target)
        values[index] = after - before
        moved = colour_distance(here, alone)
        way = _along(here - alone, target - alone) if before > FAINTEST else 0.0
        aside = float(np.sqrt(max(0.0, moved**2 - (way * before) ** 2)))
        details["way"][index], details["aside"][index] = way, aside
        details["word"][index] = _word(moved, way, aside, before)
    return Scored(values, details)


def colour_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Wasserstein-2 distance per channel, all three together, in L*a*b* units; (3, Q) twice."""
    return float(np.sqrt(np.square(first - second).mean(1).sum()))


def _along(move: np.ndarray, way: np.ndarray) -> float:
    """Share of the way that the move goes."""
    return float((move * way).sum() / np.square(way).sum())


def _word(moved: float, way: float, aside: float, length: float) -> str:
    if moved < FAINTEST:
        return "still"
    if way > 1.0 and (way - 1) * length > FAINTEST:
        return "past"
    return "toward" if way * length > aside / 2 else "away"


SCORE = Score(
    name="colour_drift",
    title="Colour drift",
    doc="How much farther (above 0) or nearer (below 0) than at strength 0 the colours are from "
    "the training set's, in L*a*b* units; beside it how far along the way from the base (0) to "
    "the set (1) they went, how far aside of it, and the word: still, toward, past or away.",
    caveat="It compares one picture with all training pictures together: a red apple is far from a "
    "blue set whatever the LoRA does. Compare cells of one prompt.",
    better="lower",
    needs=frozenset({BASE, TRAINING}),
    compute=compute,
)
