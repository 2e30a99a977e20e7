"""How different the pictures of one setting still are (pairwise distance; Vendi, 2210.02410)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..groups import Group, groups_of
from ..score import Score, Scored, ScoreInput
from ..vectors import mean_pairwise, vendi


def compute(given: ScoreInput) -> Scored:
    """Over seeds of the same prompt where there are several, else over prompts."""
    seeded = [group for group in groups_of(given.cells) if len(group.cells) > 1]
    several = seeded or [g for g in groups_of(given.cells, prompts=True) if len(g.cells) > 1]
    if not several:
        note = "Diversity needs at least two seeds or prompts of otherwise equal settings"
        return Scored({}, notes=(note,))
    values: dict[int, float] = {}
    details: dict[str, dict[int, float]] = {"of_base": {}, "vendi": {}}
    for group in several:
        own = _units(given, group.cells)
        values |= dict.fromkeys(group.cells, 1 - mean_pairwise(own))
        details["vendi"] |= dict.fromkeys(group.cells, vendi(own))
        alone = _base_diversity(given, group)
        if alone is not None:
            share = (1 - mean_pairwise(own)) / alone
            details["of_base"] |= dict.fromkeys(group.cells, share)
    return Scored(values, details)


def _base_diversity(given: ScoreInput, group: Group) -> float | None:
    bases = list(dict.fromkeys(given.bases[i] for i in group.cells if i in given.bases))
    if len(bases) < len(group.cells):
        return None
    found = 1 - mean_pairwise(_units(given, bases))
    return found if found > 1e-6 else None


def _units(given: ScoreInput, cells: Sequence[int]) -> np.ndarray:
    return np.stack([given.vectors.of_cells[index] for index in cells])


SCORE = Score(
    name="diversity",
    title="Diversity",
    doc="Mean pairwise distance (1 - cosine) between the pictures of other seeds with otherwise "
    "equal settings, or of other prompts where there is one seed; beside it the share of the "
    "diversity at strength 0 that is left, and the Vendi score.",
    caveat="The Vendi score grows with the number of pictures (arXiv 2602.14682): compare groups "
    "of one size. Broken pictures are diverse, too.",
    better="neither",
    needs=frozenset(),
    compute=compute,
)
