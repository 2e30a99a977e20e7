"""What a person chose in one sweep, looked for in the next.

Cells are numbered anew when an axis grows: number 7 of yesterday's grid may be another picture
today, which nobody has chosen. So a click brings along in which sweep it was made, and the same
cell is found by its settings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..sweep.cell_settings import CellSettings
from ..sweep.result import SweepResult
from . import paths

NOT_CHOSEN = -1


@dataclass(frozen=True)
class Choice:
    """A choice in this sweep.

    Attributes:
        cell: its number, or -1 for none.
        note: what became of an older one; empty where nothing did.
    """

    cell: int
    note: str = ""


def carried(sweep: SweepResult, choice: int, chosen_in: str) -> Choice:
    """The choice as a cell of this sweep.

    Args:
        sweep: the sweep.
        choice: a cell's number, or -1.
        chosen_in: name of the folder of the sweep that has this number; empty for this one.

    Raises:
        PathError: the name leads out of the folder of sweeps.
    """
    if choice < 0 or chosen_in in ("", sweep.folder.name):
        return Choice(choice)
    what = f"cell {choice} of {chosen_in}, which you chose,"
    settings = _settings_in(chosen_in, choice)
    if settings is None:
        return Choice(NOT_CHOSEN, f"{what} cannot be looked up any more: choose anew")
    same = (c.index for c in sweep.plan.cells if c.settings.canonical() == settings.canonical())
    number = next((index for index in same if index in sweep.pictures), NOT_CHOSEN)
    if number < 0:
        return Choice(number, f"{what} is not in this sweep: choose anew")
    return Choice(number, f"{what} is cell {number} here")


def _settings_in(folder: str, cell: int) -> CellSettings | None:
    """From the table of an earlier sweep; None where there is none to be read."""
    path = paths.contained(paths.runs_folder() / "sweeps", folder) / "table.json"
    try:
        rows = json.loads(path.read_text("utf-8"))["rows"]
        row: Mapping[str, Any] = next(row for row in rows if row["cell"] == cell)
        return CellSettings(**{item.name: row[item.name] for item in fields(CellSettings)})
    except (OSError, ValueError, LookupError, TypeError, StopIteration):
        return None
