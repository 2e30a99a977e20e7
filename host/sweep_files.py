"""Writes a finished sweep into a folder of its own.

First what cannot be drawn again from anything else: the cells, the table, the grid. Then the
views made of them; one that fails is noted and takes nothing with it. Pictures are fetched one by
one, so that a sweep of any size needs the memory of one cell and one page.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count as counting
from pathlib import Path
from typing import Any

from PIL import Image

from ..core import atomic
from ..sweep.cells import SweepPlan
from ..sweep.contact import draw_contact
from ..sweep.difference import FOOTER_PX, DifferencePainter, draw_legend
from ..sweep.file_settings import SweepFileSettings
from ..sweep.grid import draw_sheet, lay_out, picture_size, plain_painter
from ..sweep.picture_format import blocks_of, picture_formats
from ..sweep.picture_metadata import PROMPT, WORKFLOW, png_with_texts
from ..sweep.result import StoredPictures, SweepResult
from ..sweep.strip import encode_strip, plan_strip
from ..sweep.table import columns_of, rows_of, to_csv, to_json
from . import paths
from .capabilities import describe
from .sweeping import SweepRunner

CONTACT_QUALITY = 90
SAY_EVERY_S = 2.0


def finish(
    runner: SweepRunner,
    plan: SweepPlan,
    *,
    title: str,
    prefix: str,
    texts: Mapping[str, str],
    settings: SweepFileSettings | None = None,
    say: Callable[[str], None] | None = None,
) -> SweepResult:
    """Draw the pages and write everything into a new folder.

    Args:
        runner: after its run.
        plan: the sweep.
        title: line above the grid.
        prefix: name of the folder, without its number.
        texts: texts for the pictures, such as the workflow.
        settings: formats and views; the usual ones when left out.
        say: told now and then how far it is: a large sweep takes minutes to write.
    """
    writer = _Writer(
        plan=plan,
        pictures=runner.pictures,
        errors={index: o.error for index, o in runner.outcomes.items() if o.error},
        rows=rows_of(plan.drawn, runner.outcomes, plan.axes),
        title=title,
        texts=texts,
        settings=settings or SweepFileSettings(),
        folder=next_folder(paths.runs_folder() / "sweeps", prefix),
        notes=list(runner.notes),
        say=say,
    )
    cells = writer.write_cells()
    writer.write_table()
    pages = writer.write_grid()
    diff_pages = writer.extra("difference pictures", writer.write_differences)
    contact = writer.extra("contact sheet", lambda: writer.write_contact(pages))
    strip = writer.extra("animated strip", writer.write_strip)
    writer.write_table()
    return SweepResult(
        plan=plan,
        # Where the files are not exact, figures and outputs are made of what is.
        pictures=cells if writer.settings.format.lossless else runner.pictures,
        rows=tuple(writer.rows),
        notes=tuple(writer.notes),
        folder=writer.folder,
        pages=pages,
        diff_pages=diff_pages,
        extras=contact + strip,
    )


@dataclass
class _Writer:
    """Writes one sweep's files."""

    plan: SweepPlan
    pictures: Mapping[int, Image.Image]
    errors: Mapping[int, str]
    rows: Sequence[Mapping[str, Any]]
    title: str
    texts: Mapping[str, str]
    settings: SweepFileSettings
    folder: Path
    notes: list[str]
    say: Callable[[str], None] | None = None
    _said_s: float = field(default_factory=time.monotonic)

    def write_cells(self) -> StoredPictures:
        """Each picture with its own row of the table in it."""
        by_cell = {row["cell"]: row for row in self.rows}
        files = {}
        for number, index in enumerate(self.pictures):
            self._tell("pictures", number, len(self.pictures))
            own = {**self.texts, "kiln_cell": json.dumps(by_cell[index])}
            files[index] = self._write_cell(Path("cells") / f"cell_{index:04d}", index, own)
        return StoredPictures(files)

    def _write_cell(self, name: Path, index: int, texts: Mapping[str, str]) -> Path:
        if self.settings.format.suffix != ".png" or not isinstance(self.pictures, StoredPictures):
            return self._write(name, self.pictures[index], texts)
        # It is a PNG already; only its texts differ.
        path = self.folder / name.with_suffix(".png")
        data = self.pictures.files[index].read_bytes()
        atomic.write_bytes(path, png_with_texts(data, texts))
        return path

    def write_table(self) -> None:
        """As CSV, and as JSON with what the sweep was."""
        atomic.write_text(self.folder / "table.csv", to_csv(self.rows))
        document = {
            "notes": self.notes,
            "title": self.title,
            "versions": describe(),
            "axes": [
                {
                    "axis": own.axis_name,
                    "sets": own.target.name,
                    "values": own.values,
                    "labels": own.labels(),
                }
                for own in self.plan.axes
            ],
            "row_labels": self.plan.row_labels,
            "column_labels": self.plan.column_labels,
            "page_labels": self.plan.page_labels,
            "columns": columns_of(self.rows),
            "rows": self.rows,
        }
        atomic.write_text(self.folder / "table.json", to_json(document))

    def write_grid(self) -> tuple[Path, ...]:
        """One labelled picture per page."""
        layout = lay_out(self.plan, self._size(), self.title)
        painter = plain_painter(self.pictures)
        files = []
        for page in range(len(self.plan.page_labels)):
            self._tell("grid pages", page, len(self.plan.page_labels))
            sheet = draw_sheet(self.plan, page, layout, painter, self.errors, self.title)
            files.append(self._write(_numbered("grid", page), sheet, self.texts))
        return tuple(files)

    def write_differences(self) -> tuple[Path, ...]:
        """The same pages, showing where each cell differs from the model alone."""
        if not self.settings.diff_view:
            return ()
        layout = lay_out(self.plan, self._size(), self.title, footer_height=FOOTER_PX)
        painter = DifferencePainter(self.plan, self.pictures)
        reasons = painter.reasons(self.errors)
        files = []
        for page in range(len(self.plan.page_labels)):
            self._tell("difference pages", page, len(self.plan.page_labels))
            sheet = draw_sheet(self.plan, page, layout, painter, reasons, self.title)
            draw_legend(sheet, layout)
            files.append(self._write(_numbered("diff", page), sheet, self.texts))
        return tuple(files)

    def write_contact(self, pages: Sequence[Path]) -> tuple[Path, ...]:
        """All pages on one sheet, where there are several."""
        if len(pages) < 2:
            return ()
        layout = lay_out(self.plan, self._size(), self.title)
        sheet = draw_contact(self.plan, _opened(pages), layout, self.title)
        path = self.folder / "contact.jpg"
        picture_formats()["jpeg"].write(path, sheet, self.texts, CONTACT_QUALITY)
        return (path,)

    def write_strip(self) -> tuple[Path, ...]:
        """One axis as an animation."""
        strip = plan_strip(self.plan, self.settings.strip_axis, self._size())
        if isinstance(strip, str):
            self.notes += [strip] if strip else []
            return ()
        path = self.folder / "strip.webp"
        with tempfile.TemporaryFile() as file:
            encode_strip(strip, file, self.pictures, self.errors, self.title, self.texts)
            atomic.write_blocks(path, blocks_of(file))
        self.notes += strip.notes
        return (path,)

    def extra(self, what: str, write: Callable[[], tuple[Path, ...]]) -> tuple[Path, ...]:
        """Write a view that the sweep is whole without; a failure is told in the notes."""
        try:
            return write()
        except Exception as error:
            text = str(error) or type(error).__name__
            self.notes.append(f"the {what} could not be written: {text}")
            return ()

    def _tell(self, what: str, done: int, count: int) -> None:
        """Every few seconds; small sweeps are written before there is anything to say."""
        if self.say is not None and time.monotonic() - self._said_s > SAY_EVERY_S:
            self._said_s = time.monotonic()
            self.say(f"writing {what}: {done} of {count}")

    def _size(self) -> tuple[int, int]:
        return picture_size(self.plan, self.pictures)

    def _write(self, name: Path, picture: Image.Image, texts: Mapping[str, str]) -> Path:
        """In the chosen format; the workflow lies beside where ComfyUI cannot open it."""
        form = self.settings.format
        path = self.folder / name.with_suffix(form.suffix)
        left_out = form.write(path, picture, texts, self.settings.picture_quality)
        self._lay_beside(left_out if form.opens else (WORKFLOW, PROMPT), form.name)
        return path

    def _lay_beside(self, names: Sequence[str], form: str) -> None:
        for name in names:
            # Names may come with a request.
            path = paths.contained(self.folder, f"{name}.json")
            if name not in self.texts or path.exists():
                continue
            atomic.write_text(path, self.texts[name])
            self.notes.append(f"ComfyUI finds no {name} in {form} files: it is in {path.name}")


def _opened(files: Sequence[Path]) -> Iterator[Image.Image]:
    """One after another, each closed again."""
    for path in files:
        with Image.open(path) as picture:
            yield picture


def _numbered(name: str, page: int) -> Path:
    return Path(name if page == 0 else f"{name}_{page + 1}")


def next_folder(root: Path, prefix: str) -> Path:
    """The next free ``<prefix>_NNNNN``, made."""
    root.mkdir(parents=True, exist_ok=True)
    taken = [int(p.name[-5:]) for p in root.glob(f"{prefix}_[0-9][0-9][0-9][0-9][0-9]")]
    for number in counting(max(taken, default=0) + 1):
        folder = root / f"{prefix}_{number:05d}"
        # Another server may be as quick, and on some disks "Sweep" and "sweep" are one name.
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError("unreachable")
