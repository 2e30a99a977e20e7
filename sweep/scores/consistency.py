"""Whether the LoRA does the same to every seed (CARLoS's consistency, arXiv 2512.08826)."""

from __future__ import annotations

import numpy as np

from ..groups import groups_of
from ..score import BASE, Score, Scored, ScoreInput
from ..vectors import mean_pairwise

FAINTEST = 1e-6


def compute(given: ScoreInput) -> Scored:
    """Mean pairwise cosine of the differences to the base, over the seeds of a group."""
    of_cells = given.vectors.of_cells
    values: dict[int, float] = {}
    for group in groups_of(given.cells, prompts=True):
        moves = {
            index: of_cells[index] - of_cells[given.bases[index]]
            for index in group.cells
            if index in given.bases
        }
        seen = [move for move in moves.values() if np.linalg.norm(move) > FAINTEST]
        if len(seen) > 1:
            units = np.stack([move / np.linalg.norm(move) for move in seen])
            values |= dict.fromkeys(moves, mean_pairwise(units))
    if not values:
        note = "Consistency needs at least two seeds or prompts of otherwise equal settings"
        return Scored({}, notes=(note,))
    return Scored(values)


SCORE = Score(
    name="consistency",
    title="Consistency",
    doc="Whether the LoRA pushes all seeds and prompts of the same settings the same way: mean "
    "pairwise cosine of the differences to strength 0. 1 is always the same, 0 is unrelated.",
    caveat="With two or three seeds it is rough, and a LoRA that breaks every picture alike is "
    "consistent, too.",
    better="neither",
    needs=frozenset({BASE}),
    compute=compute,
)
