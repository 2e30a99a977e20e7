"""Writes scores, pictures and the person's decision into the sweep's folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path
from typing import Any

from PIL import Image

from ..core import atomic
from ..core.errors import ConfigError
from ..sweep.cells import Cell
from ..sweep.picture_format import picture_formats
from ..sweep.score_table import as_json, scored_rows
from ..sweep.table import to_csv, to_json
from .scoring import ScoredSweep

PERSON, SUGGESTION = "person", "shortlist suggestion"
DECISION_FILE = "decision.json"


@dataclass(frozen=True)
class Decision:
    """Which cell goes on.

    Attributes:
        cell: the cell.
        by: ``person`` or ``shortlist suggestion``.
        lora: its LoRA's name in the stock loader; for a cell of the model alone the sweep's first.
    """

    cell: Cell
    by: str
    lora: str


def write_scores(scored: ScoredSweep) -> str:
    """Write ``scores.csv`` and ``scores.json``; returns the CSV."""
    rows = scored_rows(scored.sweep.rows, scored.found, scored.choice)
    table = to_csv(rows)
    atomic.write_text(scored.sweep.folder / "scores.csv", table)
    value = {
        **as_json(scored.choice, scored.found),
        "notes": list(scored.notes),
        "vectors": scored.given.vectors.name,
        "rows": rows,
    }
    atomic.write_text(scored.sweep.folder / "scores.json", to_json(value))
    return table


def write_pictures(
    scored: ScoredSweep, overview: Image.Image, maps: Iterable[Image.Image], texts: dict[str, str]
) -> list[Path]:
    """Write ``scores.png`` and ``scores_map.png``, ``scores_map_2.png``, …; returns their paths.

    Maps are drawn and let go one by one: a sweep may have hundreds of pages.
    """
    named = chain(
        [("scores", overview)],
        (("scores_map" if number == 1 else f"scores_map_{number}", picture)
         for number, picture in enumerate(maps, start=1)),
    )  # fmt: skip
    files = []
    for name, picture in named:
        files.append(scored.sweep.folder / f"{name}.png")
        picture_formats()["png"].write(files[-1], picture, texts, 100)
    return files


def decide(scored: ScoredSweep, choice: int) -> Decision | None:
    """Take the person's choice, an earlier one, or the shortlist's first; and store it.

    Args:
        scored: the sweep with its scores.
        choice: a cell's number, or -1 where the person has not chosen yet.

    Returns:
        None where nobody chose and nothing is on the shortlist.

    Raises:
        ConfigError: there is no such cell, or it has no picture.
    """
    path = scored.sweep.folder / DECISION_FILE
    by = PERSON
    if choice < 0:
        earlier = _earlier_choice(path)
        if earlier is not None:
            choice = earlier
        elif scored.choice.shortlist:
            choice, by = scored.choice.shortlist[0].cells[0], SUGGESTION
        else:
            return None
    cell = _cell(scored, choice)
    decision = Decision(cell, by, _lora_of(scored, cell))
    value = {
        "cell": cell.index,
        "settings": asdict(cell.settings),
        "lora_name": decision.lora,
        "decided_by": by,
        "decided_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "scores": {
            name: own.values[cell.index]
            for name, own in scored.found.items()
            if cell.index in own.values
        },
    }
    if _read(path).get("cell") != cell.index or _read(path).get("decided_by") != by:
        atomic.write_text(path, to_json(value))
    return decision


def _cell(scored: ScoredSweep, number: int) -> Cell:
    cells = {cell.index: cell for cell in scored.sweep.plan.cells}
    if number not in cells:
        raise ConfigError(
            f"The choice is cell {number}",
            expected=f"a cell of this sweep, 0 to {len(cells) - 1}, or -1 for none",
            remedy="Take the number from the column 'cell' of the table",
        )
    if number not in scored.given.looks:
        raise ConfigError(
            f"The chosen cell {number} has no picture, since it failed",
            expected="a cell that was drawn",
            remedy="Choose another one, or run the sweep again",
        )
    return cells[number]


def _lora_of(scored: ScoredSweep, cell: Cell) -> str:
    """Strength 0 needs a name, too, for the stock loader to take it."""
    if cell.settings.lora:
        return cell.settings.lora
    names = (other.settings.lora for other in scored.sweep.plan.cells)
    return next((name for name in names if name), "")


def _earlier_choice(path: Path) -> int | None:
    """What the person once chose stays chosen until they choose otherwise."""
    earlier = _read(path)
    return int(earlier["cell"]) if earlier.get("decided_by") == PERSON else None


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return value if isinstance(value, dict) else {}
