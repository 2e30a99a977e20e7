"""How far the LoRA moves a picture (CARLoS's strength, arXiv 2512.08826)."""

from __future__ import annotations

import numpy as np

from ..score import BASE, Score, Scored, ScoreInput


def compute(given: ScoreInput) -> Scored:
    """Length of the difference to the vector of the model alone at the same seed."""
    of_cells = given.vectors.of_cells
    values = {
        index: float(np.linalg.norm(of_cells[index] - of_cells[base]))
        for index, base in given.bases.items()
    }
    return Scored(values)


SCORE = Score(
    name="effect_size",
    title="Effect size",
    doc="How far the LoRA moves the picture: distance between the vectors of the picture and of "
    "the one at strength 0 with the same seed. 0 is no effect, 1.41 nothing in common.",
    caveat="A large effect is not a good one: a broken picture has the largest.",
    better="neither",
    needs=frozenset({BASE}),
    compute=compute,
)
