"""Small sweeps with pictures in memory, for tests of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lora_kiln.sweep import descriptor
from lora_kiln.sweep.axis import AxisValues
from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import Cell, SweepPlan
from lora_kiln.sweep.look import look_at
from lora_kiln.sweep.result import StoredPictures, SweepResult
from lora_kiln.sweep.score import ScoreInput, TrainingPicture, Vectors


def make_plan(
    strengths: Sequence[float] = (0.0, 1.0),
    seeds: Sequence[int] = (1,),
    prompts: Sequence[str] = ("a boat",),
    **settings: Any,
) -> SweepPlan:
    """Strengths in rows, seeds in columns, prompts on pages."""
    base = CellSettings(**{"width_px": 64, "height_px": 64, **settings})
    cells: list[Cell] = []
    for (page, prompt), (row, strength), (column, seed) in product(
        enumerate(prompts), enumerate(strengths), enumerate(seeds)
    ):
        own = replace(base, prompt=prompt, strength=strength, seed=seed)
        cells.append(Cell(len(cells), page, row, column, own, (strength,)))
    return SweepPlan(
        cells=tuple(cells),
        row_labels=tuple(f"strength {strength:g}" for strength in strengths),
        column_labels=tuple(f"seed {seed}" for seed in seeds),
        page_labels=tuple(prompts),
        axes=(AxisValues("strength", tuple(strengths)),),
    )


def make_input(
    plan: SweepPlan,
    pictures: Mapping[int, Image.Image],
    training: Mapping[str, Image.Image] | None = None,
    **changes: Any,
) -> ScoreInput:
    """What the host would hand to the scores, without a vision model unless ``changes`` has one."""
    looks = {index: look_at(picture) for index, picture in pictures.items()}
    known = [
        TrainingPicture(name, "", look_at(picture)) for name, picture in (training or {}).items()
    ]
    width = len(next(iter(looks.values())).descriptor)
    rows = [picture.look.descriptor for picture in known]
    pixels = Vectors(
        descriptor.NAME,
        {index: look.descriptor for index, look in looks.items()},
        np.stack(rows) if rows else np.zeros((0, width)),
    )
    return ScoreInput(
        plan=plan, pictures=pictures, looks=looks, training=known,
        **{"pixels": pixels, **changes},
    )


def vectors_input(
    plan: SweepPlan,
    vectors: Mapping[int, Sequence[float]],
    training: Sequence[Sequence[float]] = (),
    **changes: Any,
) -> ScoreInput:
    """Cells whose vectors are given outright; the pictures are all alike."""
    grey = dict.fromkeys(vectors, Image.new("RGB", (64, 64), (90, 90, 90)))
    names = {str(number): grey[next(iter(grey))] for number in range(len(training))}
    made = Vectors(
        "given",
        {index: unit(vector) for index, vector in vectors.items()},
        np.array([unit(row) for row in training]) if training else np.zeros((0, len(vectors[0]))),
    )
    return make_input(plan, grey, names, vision=made, **changes)


def unit(vector: Sequence[float]) -> np.ndarray:
    return np.asarray(vector, dtype=np.float64) / np.linalg.norm(vector)


def blobs(seed: int, size: tuple[int, int] = (96, 96), tint: Sequence[int] = (0, 0, 0)) -> Any:
    """A picture of soft coloured spots, another one for every seed."""
    chance = np.random.default_rng(seed)
    small = chance.integers(30, 200, (6, 6, 3)) + np.asarray(tint)
    picture = Image.fromarray(small.clip(0, 255).astype(np.uint8))
    return picture.resize(size, Image.Resampling.BICUBIC)


def save_sweep(
    folder: Path, plan: SweepPlan, pictures: Mapping[int, Image.Image]
) -> SweepResult:
    """The sweep as the engine would leave it on disk."""
    files = {}
    (folder / "cells").mkdir(parents=True)
    for index, picture in pictures.items():
        files[index] = folder / "cells" / f"cell_{index:04d}.png"
        picture.save(files[index])
    rows = tuple(
        {"cell": cell.index, "strength": cell.settings.strength, "seed": cell.settings.seed}
        for cell in plan.drawn
    )
    return SweepResult(plan, StoredPictures(files), rows, (), folder, ())
