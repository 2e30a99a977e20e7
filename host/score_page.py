"""What the page in the browser needs for choosing a cell with a click.

Short names and bare lists: a sweep of some thousand cells is sent in one message.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..sweep.result import StoredPictures, SweepResult
from .previews import FOLDER as PREVIEWS
from .score_files import Decision
from .scoring import ScoredSweep

LONGEST_REASON = 200


def cell_grid(scored: ScoredSweep, decision: Decision | None, output: Path) -> dict[str, Any]:
    """The sweep's cells as the front end (``web/src``) lays them out.

    Args:
        scored: the sweep with its scores.
        decision: which cell goes on, if any.
        output: ComfyUI's output folder, which ``/view`` serves.

    Returns:
        ``pages``, ``rows``, ``columns``: labels; ``size``: a picture's width and height in pixels;
        ``name``: the sweep's; ``folder``: below the output folder; ``stamp``: another one where a
        folder of this name is made anew, for the browser's cache; ``cells``: per cell its number,
        page, row, column and its picture's file below ``folder``, an empty one where there is
        none; ``failed``: reasons by number; ``shortlist``: the cell numbers of each place;
        ``decision``: a cell's number and who took it, or None.
    """
    sweep = scored.sweep
    plan = sweep.plan
    folder, names = _served(_picture_files(sweep), output)
    changed_ns = (output / folder).stat().st_mtime_ns if names else 0
    first = plan.cells[0].settings
    return {
        "pages": plan.page_labels,
        "rows": plan.row_labels,
        "columns": plan.column_labels,
        "size": (first.width_px, first.height_px),
        "name": sweep.folder.name,
        "folder": folder,
        "stamp": changed_ns // 1_000_000,
        "cells": [
            (cell.index, cell.page, cell.row, cell.column, names.get(cell.index, ""))
            for cell in plan.cells
        ],
        "failed": _failed(sweep),
        "shortlist": [candidate.cells for candidate in scored.choice.shortlist],
        "decision": None if decision is None else (decision.cell.index, decision.by),
    }


def _picture_files(sweep: SweepResult) -> dict[int, Path]:
    """The pictures' files by cell, the smallest that there are.

    The sweep's own folder goes first: where its files are lossy, ``sweep.pictures`` are exact ones
    of the cell store, which is larger and may lie where ``/view`` does not look.
    """
    kept = _numbered(sweep.folder / "cells") | _numbered(sweep.folder / PREVIEWS)
    if not kept and isinstance(sweep.pictures, StoredPictures):
        kept = dict(sweep.pictures.files)
    drawn = set(sweep.pictures)
    return {index: path for index, path in kept.items() if index in drawn}


def _numbered(folder: Path) -> dict[int, Path]:
    """Files ``cell_0007.*`` by their number."""
    named = {path.stem.removeprefix("cell_"): path for path in folder.glob("cell_*.*")}
    return {int(number): path for number, path in named.items() if number.isdecimal()}


def _served(files: Mapping[int, Path], output: Path) -> tuple[str, dict[int, str]]:
    """Their common folder below the output folder, and each one's name below that."""
    root = output.resolve()
    inside = {index: path.resolve() for index, path in files.items()}
    inside = {index: path for index, path in inside.items() if path.is_relative_to(root)}
    if not inside:
        return "", {}
    common = Path(os.path.commonpath({path.parent for path in inside.values()}))
    names = {index: path.relative_to(common).as_posix() for index, path in inside.items()}
    return common.relative_to(root).as_posix(), names


def _failed(sweep: SweepResult) -> dict[int, str]:
    """Why cells have no picture, by number; JSON makes texts of the numbers."""
    drawn = set(sweep.pictures)
    reasons = {row.get("cell"): str(row.get("error") or "") for row in sweep.rows}
    return {
        cell.index: reasons.get(cell.index, "")[:LONGEST_REASON] or "it failed"
        for cell in sweep.plan.cells
        if cell.index not in drawn
    }
