"""What a score is; each file in ``scores/`` declares one.

A score answers one question about each cell, relative to the picture of the model alone and to
the training set. None of them is beauty, and they are never added up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from ..core.registry import declared_objects
from .cells import Cell, SweepPlan
from .look import Look

BASE, TRAINING, VISION, TEXT, TRIGGER = "base", "training", "vision", "text_tower", "trigger"
WHY_MISSING = {
    BASE: "no cell has a picture of the model alone beside it",
    TRAINING: "no dataset with training pictures is connected",
    VISION: "no vision model is connected",
    TEXT: "no text encoder is connected that is known to belong to the vision model",
    TRIGGER: "no trigger word is given",
}


@dataclass(frozen=True, eq=False)
class TrainingPicture:
    """A picture of the training set, as scores know it."""

    name: str
    caption: str
    look: Look


@dataclass(frozen=True, eq=False)
class Vectors:
    """Pictures as vectors of length 1.

    Attributes:
        name: what made them.
        of_cells: (D,) by cell index.
        of_training: (N, D), one row per training picture.
    """

    name: str
    of_cells: Mapping[int, np.ndarray]
    of_training: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoreInput:
    """All that a score may look at.

    Attributes:
        plan: the sweep.
        pictures: by cell index, read from disk each time: hold one or two, never all.
        looks: figures of each cell's picture; hidden cells are among them, failed ones are not.
        training: the pictures that were trained on.
        pixels: vectors without a network.
        vision: vectors of the connected vision model, or None.
        texts: vectors of prompts without the trigger in the vision model's space; empty where no
            paired text encoder is connected.
        trigger: the word that calls what was learned, or nothing.
    """

    plan: SweepPlan
    pictures: Mapping[int, Image.Image]
    looks: Mapping[int, Look]
    training: Sequence[TrainingPicture]
    pixels: Vectors
    vision: Vectors | None = None
    texts: Mapping[str, np.ndarray] = field(default_factory=dict)
    trigger: str = ""

    @property
    def vectors(self) -> Vectors:
        """The vision model's where there is one."""
        return self.vision or self.pixels

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The grid's cells that have a picture."""
        return tuple(cell for cell in self.plan.cells if cell.index in self.looks)

    @cached_property
    def bases(self) -> dict[int, int]:
        """For each cell of the grid its picture of the model alone; both have one."""
        partners = self.plan.bases()
        return {
            cell.index: partners[cell.index]
            for cell in self.cells
            if partners.get(cell.index) in self.looks
        }

    @property
    def has(self) -> frozenset[str]:
        """Which of the things that scores may need are there."""
        there = {
            BASE: bool(self.bases), TRAINING: bool(self.training),
            VISION: self.vision is not None, TEXT: bool(self.texts), TRIGGER: bool(self.trigger),
        }
        return frozenset(name for name, is_there in there.items() if is_there)


@dataclass(frozen=True)
class Scored:
    """What a score found.

    Attributes:
        values: the score by cell index; a cell that it has no answer for is missing.
        details: further columns by name, each by cell index.
        notes: what the person should know, one sentence each.
    """

    values: Mapping[int, float]
    details: Mapping[str, Mapping[int, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Score:
    """One question about each cell.

    Attributes:
        name: of its column.
        title: what people call it.
        doc: what it measures and in which unit.
        caveat: what it must not be taken for.
        better: ``higher``, ``lower`` or ``neither``.
        needs: of ``base``, ``training``, ``vision``, ``text_tower``, ``trigger``; where one is
            missing, the score is left out.
        compute: the scores of all cells.
    """

    name: str
    title: str
    doc: str
    caveat: str
    better: str
    needs: frozenset[str]
    compute: Callable[[ScoreInput], Scored]


def scores() -> dict[str, Score]:
    """Every score by name."""
    from . import scores as package

    return declared_objects(package, "SCORE")


def compute_scores(given: ScoreInput) -> tuple[dict[str, Scored], tuple[str, ...]]:
    """All scores that can be computed, and why the others cannot, with what they noted."""
    found: dict[str, Scored] = {}
    notes: list[str] = []
    for name, score in scores().items():
        missing = sorted(score.needs - given.has)
        if missing:
            reasons = "; ".join(WHY_MISSING[need] for need in missing)
            notes.append(f"{score.title} is left out: {reasons}")
            continue
        found[name] = score.compute(given)
        notes.extend(found[name].notes)
        if not found[name].values:
            del found[name]
    return found, tuple(dict.fromkeys(notes))
