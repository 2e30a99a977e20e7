"""How much a picture is like the training set (CLIP-I and DINO of DreamBooth, arXiv 2208.12242)."""

from __future__ import annotations

import numpy as np

from ..score import TRAINING, Score, Scored, ScoreInput


def compute(given: ScoreInput) -> Scored:
    """Mean cosine to the training pictures; the nearest one and the gain over the base beside."""
    vectors = given.vectors
    cosines = {
        cell.index: vectors.of_training @ vectors.of_cells[cell.index] for cell in given.cells
    }
    values = {index: float(found.mean()) for index, found in cosines.items()}
    gains = {}
    for index, base in given.bases.items():
        before = float((vectors.of_training @ vectors.of_cells[base]).mean())
        gains[index] = values[index] - before
    nearest = {index: float(np.max(found)) for index, found in cosines.items()}
    return Scored(values, {"gain": gains, "nearest": nearest})


SCORE = Score(
    name="likeness",
    title="Likeness to the training set",
    doc="Mean cosine between the picture's vector and those of the training pictures; beside it "
    "the gain over strength 0 and the cosine to the nearest picture.",
    caveat="Only good for ranking cells of one sweep: it agrees poorly with people "
    "(arXiv 2406.16855), and a copied training picture scores best of all.",
    better="higher",
    needs=frozenset({TRAINING}),
    compute=compute,
)
