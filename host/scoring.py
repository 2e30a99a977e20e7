"""Scores a finished sweep: looks at every picture, embeds what has to be, asks every score."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..core.errors import HostError
from ..core.protocols import Progress
from ..dataset.decode import decode
from ..dataset.items import Dataset, DatasetItem
from ..sweep.descriptor import NAME as PIXELS
from ..sweep.look import MOST_AREA_PX, Look, look_at
from ..sweep.pareto import Choice, choose
from ..sweep.result import StoredPictures, SweepResult
from ..sweep.score import Scored, ScoreInput, TrainingPicture, Vectors, compute_scores
from ..sweep.scores.trigger_leak import has_word, without_word
from . import paths
from .previews import keep_preview
from .text_tower import embed_texts, matching_tower, pairing_note
from .vision import NamedPicture, VisionModel


@dataclass(frozen=True, kw_only=True)
class ScoreRequest:
    """What to score, and with what.

    Attributes:
        sweep: a finished sweep.
        dataset: what the LoRA was trained on, or None.
        clip_vision: a CLIP_VISION, or None.
        clip: a CLIP whose text encoders may belong to the vision model, or None.
        trigger: the word that calls what was learned, or nothing.
    """

    sweep: SweepResult
    dataset: Dataset | None = None
    clip_vision: Any = None
    clip: Any = None
    trigger: str = ""


@dataclass(frozen=True)
class ScoredSweep:
    """A sweep with its scores.

    Attributes:
        sweep: the sweep.
        given: what the scores saw.
        found: the scores by name.
        choice: what is worth a look.
        notes: what the person should know.
        training: the training pictures' items, in the order of ``given.training``.
        background: colour behind their transparent parts.
    """

    sweep: SweepResult
    given: ScoreInput
    found: Mapping[str, Scored]
    choice: Choice
    notes: tuple[str, ...]
    training: tuple[DatasetItem, ...]
    background: str

    def training_picture(self, number: int) -> Image.Image:
        """Read a training picture again, to be shown."""
        return decode(self.training[number].source, self.background).image


class _WatchedPictures(Mapping[int, Image.Image]):
    """The sweep's pictures; each reading hears Cancel, so that scores need not know of it."""

    def __init__(self, pictures: Mapping[int, Image.Image], tick: Callable[[], None]) -> None:
        self._pictures, self._tick = pictures, tick

    def __getitem__(self, index: int) -> Image.Image:
        self._tick()
        return self._pictures[index]

    def __iter__(self) -> Iterator[int]:
        return iter(self._pictures)

    def __len__(self) -> int:
        return len(self._pictures)


def score_sweep(request: ScoreRequest, progress: Progress) -> ScoredSweep:
    """Compute every score that what is connected allows.

    Raises:
        HostError: the sweep has no pictures, or somebody deleted some.
        DatasetError: a training picture cannot be decoded.
    """
    sweep, dataset = request.sweep, request.dataset
    indices = [cell.index for cell in sweep.plan.drawn if cell.index in sweep.pictures]
    if not indices:
        raise HostError(
            "The sweep has no pictures", expected="at least one finished cell",
            remedy="Run the sweep again",
        )
    _refuse_deleted(sweep)
    items = [item for item in dataset.items if item.role == "train"] if dataset else []
    background = dataset.background if dataset else "white"
    # Scores that compare pictures read every cell a second time.
    total, done = 2 * len(indices) + len(items), 0

    def tick() -> None:
        nonlocal done
        progress.check_cancelled()
        done += 1
        progress.update(min(done, total), total)

    def drawn() -> Iterator[Image.Image]:
        for index in indices:
            tick()
            picture = sweep.pictures[index]
            keep_preview(sweep.folder, index, picture)
            yield picture

    def trained() -> Iterator[Image.Image]:
        for item in items:
            tick()
            yield decode(item.source, background).image

    vision = request.clip_vision
    model = None if vision is None else VisionModel(vision, paths.cache_folder())
    looks, seen = _see(drawn(), model, MOST_AREA_PX)
    area_px = max(1, _smallest_area(sweep, indices))
    training_looks, training_seen = _see(trained(), model, area_px)
    notes = _dataset_notes(dataset, items, request.trigger)
    given = ScoreInput(
        plan=sweep.plan,
        pictures=_WatchedPictures(sweep.pictures, tick),
        looks=dict(zip(indices, looks, strict=True)),
        training=[
            TrainingPicture(item.name, item.caption or "", look)
            for item, look in zip(items, training_looks, strict=True)
        ],
        pixels=_vectors(
            PIXELS, indices, [look.descriptor for look in looks],
            [look.descriptor for look in training_looks],
        ),
        vision=None if model is None else _vectors(model.name, indices, seen, training_seen),
        texts=_texts(request, items, training_seen, notes),
        trigger=request.trigger.strip(),
    )
    if model is None:
        notes.append(f"Without a vision model, pictures are compared by their {PIXELS}")
    found, more = compute_scores(given)
    progress.update(total, total)
    return ScoredSweep(
        sweep, given, found, choose(given, found), (*notes, *more), tuple(items), background
    )


def _refuse_deleted(sweep: SweepResult) -> None:
    """ComfyUI remembers a sweep for as long as it runs, and people tidy up meanwhile."""
    files = sweep.pictures.files if isinstance(sweep.pictures, StoredPictures) else {}
    gone = sorted(path for path in files.values() if not path.is_file())
    if gone:
        raise HostError(
            f"{len(gone)} of the sweep's pictures are gone, the first is {gone[0]}",
            expected="the files that the sweep wrote",
            remedy="Change file_prefix of the Sweep node, so that it runs again: what it still "
            "knows it does not draw again",
        )


def _smallest_area(sweep: SweepResult, indices: Sequence[int]) -> int:
    """Pixels of the smallest cell: training pictures are looked at no larger than that."""
    cells = {cell.index: cell.settings for cell in sweep.plan.drawn}
    return min(cells[index].width_px * cells[index].height_px for index in indices)


def _see(
    pictures: Iterator[Image.Image], model: VisionModel | None, area_px: int
) -> tuple[list[Look], list[np.ndarray]]:
    """Figures and vectors of a stream of pictures, of which a few are held at a time."""
    looks: list[Look] = []

    def looked_at() -> Iterator[NamedPicture]:
        for picture in pictures:
            looks.append(look_at(picture, area_px))
            yield NamedPicture(looks[-1].sha256, picture)

    stream = looked_at()
    if model is None:
        for _ in stream:
            pass
        return looks, []
    return looks, list(model.embed(stream))


def _vectors(
    name: str, indices: Sequence[int], of_cells: Sequence[np.ndarray],
    of_training: Sequence[np.ndarray],
) -> Vectors:
    width = len(of_cells[0])
    rows = np.stack(of_training) if of_training else np.zeros((0, width), dtype=np.float32)
    return Vectors(name, dict(zip(indices, of_cells, strict=True)), rows)


def _texts(
    request: ScoreRequest, items: Sequence[DatasetItem], pictures: Sequence[np.ndarray],
    notes: list[str],
) -> dict[str, np.ndarray]:
    """Vectors by prompt, the trigger left out; none where the text tower may not be used."""
    if request.clip is None or request.clip_vision is None:
        return {}
    tower = matching_tower(request.clip, request.clip_vision)
    if tower is None:
        notes.append("None of the text encoders is known to belong to this vision model")
        return {}
    word = request.trigger.strip()
    prompts = {cell.settings.prompt for cell in request.sweep.plan.cells}
    plain = {prompt: without_word(prompt, word) for prompt in sorted(prompts)}
    told = [(i, without_word(item.caption, word)) for i, item in enumerate(items) if item.caption]
    captions = [caption for _, caption in told]
    vectors = embed_texts(request.clip, tower, [*plain.values(), *captions])
    own = np.array([pictures[i] for i, _ in told])
    usable, note = pairing_note(tower, vectors, captions, own)
    notes.append(note)
    return {prompt: vectors[text] for prompt, text in plain.items()} if usable else {}


def _dataset_notes(
    dataset: Dataset | None, items: Sequence[DatasetItem], trigger: str
) -> list[str]:
    word = trigger.strip()
    if dataset is None or not word or not items:
        return []
    if any(has_word(item.caption or "", word) for item in items):
        return []
    return [f"No caption of {dataset.name} contains the trigger '{word}': check its spelling"]
