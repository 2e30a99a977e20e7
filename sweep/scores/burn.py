"""Whether a picture is overcooked: clipped, garish, hard and over-sharp.

High guidance saturates pictures (arXiv 2410.02416), and so does a LoRA that is too strong.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..look import Look
from ..score import BASE, Score, Scored, ScoreInput

CLIPPED_STEP = 0.1
"""This much more of the picture clipped counts as much as a doubling of another figure."""
FAINTEST = {"chroma": 1.0, "contrast": 0.01, "detail": 1e-5}
_READ: dict[str, Callable[[Look], float]] = {
    "chroma": lambda look: look.chroma,
    "contrast": lambda look: look.contrast,
    # An energy: its root grows like the others.
    "detail": lambda look: math.sqrt(look.detail),
}


def compute(given: ScoreInput) -> Scored:
    """Mean of four excesses over what is usual: 0 unburnt, 1 as if all had doubled."""
    usual = {name: _of_training(given, read) for name, read in _READ.items()}
    usual_clipped = _of_training(given, lambda look: look.clipped)
    values: dict[int, float] = {}
    details: dict[str, dict[int, float]] = {name: {} for name in ("clipped", *_READ)}
    for index, base in given.bases.items():
        look, before = given.looks[index], given.looks[base]
        excesses = [max(0.0, look.clipped - max(before.clipped, usual_clipped)) / CLIPPED_STEP]
        details["clipped"][index] = look.clipped - before.clipped
        for name, read in _READ.items():
            floor = math.sqrt(FAINTEST[name]) if name == "detail" else FAINTEST[name]
            now, alone = max(read(look), floor), max(read(before), floor)
            excesses.append(max(0.0, math.log2(now / max(alone, usual[name]))))
            details[name][index] = now / alone
        values[index] = sum(excesses) / len(excesses)
    return Scored(values, details)


def _of_training(given: ScoreInput, read: Callable[[Look], float]) -> float:
    """What the training pictures have themselves is style: their median, or 0 without them."""
    if not given.training:
        return 0.0
    return float(np.median([read(picture.look) for picture in given.training]))


SCORE = Score(
    name="burn",
    title="Burn",
    doc="Mean of four excesses over strength 0, or over the training set's median where that is "
    "higher: clipped pixels (per 10 % more), colourfulness (L*a*b* chroma), RMS contrast and fine "
    "detail (Laplacian), each as doublings. 0 is unburnt, 1 is all four doubled.",
    caveat="What the training set has itself is not counted as burn; a LoRA that was trained on "
    "burnt pictures goes unnoticed. Pictures that break into grey mush are not burnt either.",
    better="lower",
    needs=frozenset({BASE}),
    compute=compute,
)
