"""Writes a finished sweep into a folder of its own."""

from __future__ import annotations

import contextlib
import json
from io import BytesIO
from itertools import count
from pathlib import Path

from PIL import Image, PngImagePlugin

from ..core import atomic
from ..sweep.cells import SweepPlan
from ..sweep.grid import draw_page
from ..sweep.result import StoredPictures, SweepResult
from ..sweep.table import rows_of, to_csv
from . import paths
from .sweeping import SweepRunner


def finish(
    runner: SweepRunner, plan: SweepPlan, *, title: str, prefix: str, texts: dict[str, str]
) -> SweepResult:
    """Draw the pages and write everything into a new folder.

    Args:
        runner: after its run.
        plan: the sweep.
        title: line above the grid.
        prefix: name of the folder, without its number.
        texts: text chunks for the pictures, such as the workflow.
    """
    errors = {index: o.error for index, o in runner.outcomes.items() if o.error}
    pages = [
        draw_page(plan, page, runner.pictures, errors, title)
        for page in range(len(plan.page_labels))
    ]
    rows = rows_of(plan.drawn, runner.outcomes)
    folder = next_folder(paths.runs_folder() / "sweeps", prefix)
    page_files = []
    for number, page in enumerate(pages, start=1):
        page_files.append(folder / ("grid.png" if number == 1 else f"grid_{number}.png"))
        atomic.write_bytes(page_files[-1], png_bytes(page, texts))
    by_cell = {row["cell"]: row for row in rows}
    files = {}
    for index, picture in runner.pictures.items():
        own = {**texts, "kiln_cell": json.dumps(by_cell[index])}
        files[index] = folder / "cells" / f"cell_{index:04d}.png"
        atomic.write_bytes(files[index], png_bytes(picture, own))
    atomic.write_text(folder / "table.csv", to_csv(rows))
    atomic.write_json(folder / "table.json", {"notes": runner.notes, "rows": rows})
    return SweepResult(
        plan=plan,
        pictures=StoredPictures(files),
        rows=tuple(rows),
        notes=tuple(runner.notes),
        folder=folder,
        pages=tuple(page_files),
    )


def next_folder(root: Path, prefix: str) -> Path:
    """The next free ``<prefix>_NNNNN``, made."""
    root.mkdir(parents=True, exist_ok=True)
    taken = [int(p.name[-5:]) for p in root.glob(f"{prefix}_[0-9][0-9][0-9][0-9][0-9]")]
    for number in count(max(taken, default=0) + 1):
        folder = root / f"{prefix}_{number:05d}"
        # Another server may be as quick, and on some disks "Sweep" and "sweep" are one name.
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError("unreachable")


def png_bytes(picture: Image.Image, texts: dict[str, str]) -> bytes:
    """A PNG with text chunks, as the stock SaveImage node writes its workflow."""
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    buffer = BytesIO()
    picture.save(buffer, "PNG", pnginfo=info, compress_level=4)
    return buffer.getvalue()
