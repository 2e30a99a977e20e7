"""Finds the strength at which a LoRA's pictures fall apart: draws, looks, draws again.

What to draw next and what the pictures say is ``sweep/window``; here they are drawn by the same
engine as a sweep's, and everything is written into a folder. Only vectors and scores are held in
memory: pictures go to their files at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from ..core import atomic
from ..core.errors import HostError
from ..core.protocols import Progress
from ..sweep.cell_settings import CellSettings
from ..sweep.cells import Cell, SweepPlan
from ..sweep.look import look_at
from ..sweep.picture_metadata import png_info
from ..sweep.result import StoredPictures
from ..sweep.table import to_csv
from ..sweep.window.answer import (
    Answer,
    common_answer,
    document_of,
    report_of,
    rows_of,
    subject_text,
)
from ..sweep.window.plot import draw_plot
from ..sweep.window.rounds import Hunt, Subject
from ..sweep.window.safe_map import draw_safe_map
from ..sweep.window.search import Search
from ..sweep.window.strip import draw_strip
from ..sweep.window.subject import Embed, subject_score
from . import paths
from .sweep_engine import make_runner
from .sweep_files import next_folder
from .sweeping import SweepRunner
from .vision import NamedPicture, VisionModel


@dataclass(frozen=True)
class Drawn:
    """A round's pictures.

    Attributes:
        pictures: by cell index; cells that failed are missing.
        notes: what the engine has to say.
    """

    pictures: Mapping[int, Image.Image]
    notes: tuple[str, ...] = ()


Draw = Callable[[Sequence[Cell], Progress], Drawn]


def engine(model: Any, clip: Any, vae: Any, files: Mapping[str, Path]) -> Draw:
    """How cells become pictures: a round is one run of the sweep's engine.

    All rounds share the LoRA in memory, the encoded prompts and the store of finished cells.

    Args:
        model, clip, vae: the wires.
        files: the LoRA file by the name that cells give.
    """
    runners: list[SweepRunner] = []

    def draw(cells: Sequence[Cell], progress: Progress) -> Drawn:
        first = not runners
        if first:
            runners.append(make_runner(model, clip, vae, files, progress))
        runner = replace(runners[0], progress=progress, outcomes={}, files={}, notes=[])
        try:
            runner.run(_plan_of(cells))
        except HostError:
            # When not one cell of a later round could be drawn, what was seen before still stands;
            # the reasons are in the notes.
            if first or runner.files or len(runner.outcomes) < len(cells):
                raise
        return Drawn(StoredPictures(runner.files), (*runners[0].notes, *runner.notes))

    return draw


def _plan_of(cells: Sequence[Cell]) -> SweepPlan:
    """A round as a sweep, seeds by strengths; the labels give the live picture its places."""
    rows = tuple(str(number) for number in range(1 + max(cell.row for cell in cells)))
    columns = tuple(str(number) for number in range(1 + max(cell.column for cell in cells)))
    return SweepPlan(tuple(cells), rows, columns, ("",))


def embedding(clip_vision: Any) -> Embed | None:
    """Pictures as a connected CLIP_VISION sees them; None without one.

    Args:
        clip_vision: as ``CLIPVisionLoader`` gives it, or None.
    """
    if clip_vision is None:
        return None
    model = VisionModel(clip_vision, paths.cache_folder())

    def embed(picture: Image.Image) -> Any:
        return next(model.embed([NamedPicture(look_at(picture).sha256, picture)]))

    return embed


@dataclass(frozen=True, kw_only=True)
class FindRequest:
    """What to find.

    Attributes:
        base: settings of every picture; its seed is the first one.
        subjects: prompts and CFG scales.
        seeds: seeds of each subject.
        search: range of strengths and how many may be drawn.
        lora_name: for titles.
        prefix: name of the folder, without its number.
        embed: a vision model's embedding; None: structure alone.
        texts: text chunks for the pictures, such as the workflow.
    """

    base: CellSettings
    subjects: tuple[Subject, ...]
    seeds: int
    search: Search
    lora_name: str
    prefix: str
    embed: Embed | None = None
    texts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundStrength:
    """The answer and where it stands.

    Attributes:
        answer: strengths, for all subjects and for each.
        report: in words.
        folder: where everything was written.
        plots: one picture per subject, and the map where there are several CFG scales.
        strips: the pictures of each subject as one sheet.
    """

    answer: Answer
    report: str
    folder: Path
    plots: tuple[Path, ...]
    strips: tuple[Path, ...]


def find_strength(request: FindRequest, draw: Draw, progress: Progress) -> FoundStrength:
    """Search, and write what was found.

    Args:
        request: what to find.
        draw: draws the cells of one round together.
        progress: tells the person; when it raises Cancel, what was drawn is written first.

    Raises:
        HostError: nothing could be drawn.
    """
    hunt = Hunt(
        request.base, request.subjects, request.seeds, request.search,
        subject_score(request.embed),
    )  # fmt: skip
    folder = next_folder(paths.runs_folder() / "sweeps", request.prefix)
    files: dict[int, Path] = {}
    notes: dict[str, None] = {}
    try:
        while cells := hunt.next_cells():
            _say(progress, hunt, cells)
            drawn = draw(cells, _Part(progress, hunt, cells))
            hunt.tell(cells, drawn.pictures)
            notes |= dict.fromkeys(drawn.notes)
            for cell in cells:
                if cell.index in drawn.pictures:
                    files[cell.index] = folder / "cells" / f"cell_{cell.index:04d}.png"
                    data = _png(drawn.pictures[cell.index], _texts(request, hunt, cell))
                    atomic.write_bytes(files[cell.index], data)
            _refuse_if_unseen(hunt, notes)
    except BaseException as error:
        if hunt.scores and progress.is_cancellation(error):
            _write(request, hunt, folder, files, [*notes, "Cancelled: this is what was drawn."])
        raise
    found = _write(request, hunt, folder, files, list(notes))
    progress.say(found.report)
    return found


class _Part:
    """Progress of one round within all rounds; fulfils ``core.protocols.Progress``."""

    def __init__(self, whole: Progress, hunt: Hunt, cells: Sequence[Cell]) -> None:
        self._whole = whole
        steps = hunt.base.steps
        self._before = (len(hunt.cells) - len(cells)) * steps
        self._all = max(hunt.most_cells, len(hunt.cells)) * steps

    def update(self, done: int, total: int, *, picture: Image.Image | None = None) -> None:
        self._whole.update(min(self._before + done, self._all), self._all, picture=picture)

    def say(self, text: str) -> None:
        self._whole.say(text)

    def check_cancelled(self) -> None:
        self._whole.check_cancelled()

    def is_cancellation(self, error: BaseException) -> bool:
        return self._whole.is_cancellation(error)


def _say(progress: Progress, hunt: Hunt, cells: Sequence[Cell]) -> None:
    progress.check_cancelled()
    strengths = sorted({cell.settings.strength for cell in cells})
    done = len(hunt.cells) - len(cells)
    shown = ", ".join(f"{strength:g}" for strength in strengths)
    progress.say(
        f"Pictures {done + 1} to {len(hunt.cells)} of at most {hunt.most_cells}: strengths {shown}"
    )


def _refuse_if_unseen(hunt: Hunt, notes: Iterable[str]) -> None:
    """Without a picture at strength 0 there is nothing to compare with."""
    for number, subject in enumerate(hunt.subjects):
        if not hunt.observed(number):
            base = next(cell.index for cell in hunt.cells if cell.page == number)
            why = [f": {note}" for note in notes if note.startswith(f"cell {base} failed")]
            raise HostError(
                f"No seed of {subject_text(subject)!r} could be drawn at strength 0{''.join(why)}",
                expected="the model alone to draw this prompt",
                remedy="Try the same prompt, size and sampler with the stock KSampler node",
            )


def _texts(request: FindRequest, hunt: Hunt, cell: Cell) -> dict[str, str]:
    own = cell.settings
    about = {
        "cell": cell.index, "strength": own.strength, "seed": own.seed, "cfg": own.cfg,
        "prompt": own.prompt, "score": hunt.scores.get(cell.index), "lora": request.lora_name,
    }  # fmt: skip
    return {**request.texts, "kiln_cell": json.dumps(about)}


def _write(
    request: FindRequest, hunt: Hunt, folder: Path, files: Mapping[int, Path],
    notes: Sequence[str],
) -> FoundStrength:  # fmt: skip
    """Plots, sheets, table and document."""
    windows = hunt.windows()
    answer = common_answer(windows)
    pictures = StoredPictures(files)
    columns = max(
        len({cell.settings.strength for cell in hunt.cells if cell.page == number})
        for number in range(len(hunt.subjects))
    )
    plots: list[Path] = []
    strips: list[Path] = []
    for number, (subject, window) in enumerate(zip(hunt.subjects, windows, strict=True)):
        title = f"{request.lora_name}   {subject_text(subject)}"
        end = "" if number == 0 else f"_{number + 1}"
        plot = draw_plot(hunt.observed(number), window, request.search, title)
        plots.append(_save(folder / f"plot{end}.png", plot, request))
        cells = [cell for cell in hunt.cells if cell.page == number]
        strip = draw_strip(cells, pictures, hunt.scores, window, title, columns)
        strips.append(_save(folder / f"grid{end}.png", strip, request))
    if len({subject.cfg for subject in hunt.subjects}) > 1:
        sheet = draw_safe_map(hunt, windows, f"{request.lora_name}   where it is safe")
        plots.append(_save(folder / "map.png", sheet, request))
    report = report_of(hunt, answer, notes)
    atomic.write_json(folder / "window.json", document_of(hunt, answer, notes))
    atomic.write_text(folder / "window.csv", to_csv(rows_of(hunt)))
    atomic.write_text(folder / "report.txt", report + "\n")
    return FoundStrength(answer, report, folder, tuple(plots), tuple(strips))


def _save(path: Path, picture: Image.Image, request: FindRequest) -> Path:
    atomic.write_bytes(path, _png(picture, request.texts))
    return path


def _png(picture: Image.Image, texts: Mapping[str, str]) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "PNG", pnginfo=png_info(texts))
    return buffer.getvalue()
