"""Whether a picture is a copy of a training picture.

The raw likeness to the nearest training picture says little: the pictures of a narrow set are
alike, and so is whatever is drawn after them. So each training picture has an ordinary likeness of
its own: that of the other training picture that is most like it, or of the picture of the model
alone that comes nearest to it by chance, whichever is higher. The score is how much of the way
from there to an exact copy a cell has gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..copies import copy_likeness
from ..score import BASE, TRAINING, Score, Scored, ScoreInput

FLAGGED = 0.4
"""Where a person sees one picture in the two: on the demo model three LoRAs overfit on one picture
reach .41 to .76 with its caption, three healthy ones 0 to .05."""
FLAGGED_BY_VISION = 0.6
"""Stricter: to a vision model one subject looks alike in all scenes. Not measured on real LoRAs."""
TWINS = 0.9
"""Training pictures this much alike are one picture twice, and say nothing of what is ordinary."""
MOST_COMPARED = 1000
"""Training pictures that are compared among each other."""


@dataclass(frozen=True)
class _Nearest:
    """Of one cell: the training picture, how alike, and the share of the way to a copy."""

    picture: int
    likeness: float
    share: float
    limit: float = FLAGGED

    @property
    def is_copy(self) -> bool:
        """Whether it is flagged."""
        return self.share >= self.limit


def compute(given: ScoreInput) -> Scored:
    """The highest share over the training pictures, which one it was, and whether it is flagged."""
    looks = [picture.look for picture in given.training]
    some = np.linspace(0, len(looks) - 1, min(len(looks), MOST_COMPARED)).astype(int)
    among = copy_likeness([looks[i] for i in some], looks)
    nearest = _nearest_of(
        given, some, among, lambda cells: copy_likeness([given.looks[i] for i in cells], looks)
    )
    seen = _by_vision(given, some)
    # The stronger of the two kinds of evidence.
    worst = {
        index: max(own, seen.get(index, own), key=lambda one: one.share / one.limit)
        for index, own in nearest.items()
    }
    details: dict[str, dict[int, Any]] = {
        "picture": {index: given.training[own.picture].name for index, own in worst.items()},
        "flag": {i: "copy" if own.is_copy else "" for i, own in worst.items()},
        "likeness": {index: own.likeness for index, own in nearest.items()},
    }
    if seen:
        details["vision"] = {index: own.share for index, own in seen.items()}
    return Scored({i: own.share for i, own in worst.items()}, details, _notes(given, worst))


def _by_vision(given: ScoreInput, some: np.ndarray) -> dict[int, _Nearest]:
    """The same by the vision model's cosines, where there is one."""
    if given.vision is None:
        return {}
    of_cells, of_training = given.vision.of_cells, given.vision.of_training
    found = _nearest_of(
        given, some, of_training[some] @ of_training.T,
        lambda cells: np.stack([of_cells[i] for i in cells]) @ of_training.T,
    )
    return {index: replace(own, limit=FLAGGED_BY_VISION) for index, own in found.items()}


def _nearest_of(
    given: ScoreInput, some: np.ndarray, among: np.ndarray,
    alike: Callable[[list[int]], np.ndarray],
) -> dict[int, _Nearest]:
    """For each cell with the LoRA the training picture that it is nearest to being a copy of.

    Args:
        given: the sweep.
        some: which training pictures ``among`` has rows for.
        among: (S, N) how alike they and all training pictures are.
        alike: cells -> (C, N) how alike they and the training pictures are.
    """
    cells = [cell.index for cell in given.cells if cell.settings.has_lora]
    if not cells:
        return {}
    ordinary = _ordinary(among, some, alike(list(dict.fromkeys(given.bases.values()))))
    return {
        index: _nearest(likenesses, ordinary)
        for index, likenesses in zip(cells, alike(cells), strict=True)
    }


def _ordinary(among: np.ndarray, some: np.ndarray, of_bases: np.ndarray) -> np.ndarray:
    """(N,) per training picture: the likeness that needs no memory."""
    others = np.where(among < TWINS, among, 0.0)
    others[np.arange(len(some)), some] = 0.0
    ordinary: np.ndarray = np.maximum(others.max(0), of_bases.max(0)).clip(0.0)
    return ordinary


def _nearest(likenesses: np.ndarray, ordinary: np.ndarray) -> _Nearest:
    room = np.maximum(1 - ordinary, 0.02)
    shares = np.maximum((likenesses - ordinary) / room, 0.0)
    picture = int(shares.argmax()) if shares.max() > 0 else int(likenesses.argmax())
    return _Nearest(picture, float(likenesses[picture]), float(shares[picture]))


def _notes(given: ScoreInput, worst: dict[int, _Nearest]) -> tuple[str, ...]:
    notes = []
    flagged = [index for index, own in worst.items() if own.is_copy]
    if flagged:
        first = max(flagged, key=lambda index: worst[index].share)
        name = given.training[worst[first].picture].name
        notes.append(
            f"{len(flagged)} of {len(worst)} pictures look copied from the training set, most "
            f"of all cell {first} from {name}: compare the two"
        )
    if len(given.training) < 2:
        notes.append(
            "With one training picture, memorisation is calibrated by the model alone only"
        )
    return tuple(notes)


SCORE = Score(
    name="memorisation",
    title="Memorisation",
    doc="How much of the way from an ordinary likeness (0) to an exact copy of a training picture "
    "(1) the cell has gone; mirrored and cropped copies are found, too. Ordinary is what other "
    "training pictures, and pictures of the model alone, reach. From 0.4 on it is flagged, with "
    "the training picture's name; a connected vision model gives a second opinion, and flags from "
    "0.6 on.",
    caveat="It finds copied compositions, not a copied face in a new scene, and no measure "
    "separates copies cleanly (arXiv 2306.04675): look at the pair. Only the prompts of this sweep "
    "are tested; draw with training captions, too.",
    better="lower",
    needs=frozenset({TRAINING, BASE}),
    compute=compute,
)
