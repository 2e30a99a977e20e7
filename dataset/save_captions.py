"""Captions as text files beside their pictures: what would be written, and the writing.

Files are changed by :mod:`.changes` alone, so that every save can be taken back. Who made a caption
is written beside, below ``.kiln/captions``, where no trainer looks for text.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ..core import atomic
from ..core.errors import ConfigError, DatasetError, shorten
from .change_journal import DONE, ChangeSet
from .changes import WriteFile, apply_changes, list_changes, undo
from .items import Dataset, DatasetItem, Origin
from .own_files import STATE_FOLDER, contained_file
from .text import read_text

SKIP, OVERWRITE, ONLY_EMPTY, UNDO = (
    "skip existing", "overwrite", "only empty", "undo the last save",
)
MODES = (SKIP, OVERWRITE, ONLY_EMPTY, UNDO)
REASON = "save captions"
PROVENANCE_FOLDER = f"{STATE_FOLDER}/captions"


@dataclass
class _Folder:
    """What is to be written in one folder, and what is not."""

    origin: Origin
    writes: dict[str, bytes] = field(default_factory=dict)
    owners: dict[str, DatasetItem] = field(default_factory=dict)
    claims: dict[str, DatasetItem] = field(default_factory=dict)
    same: int = 0
    skipped: list[str] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Saved:
    """What was done in one folder.

    Attributes:
        origin: the folder.
        change: its entry in the journal; None when nothing had to be written.
        files: caption files that were written, below the folder.
        same: how many were there already, letter by letter.
        skipped: pictures whose caption file was left alone.
        shared: pictures whose caption stood in a file shared with others, such as
            ``metadata.csv``; their new caption file counts from now on.
    """

    origin: Origin
    change: ChangeSet | None
    files: tuple[str, ...]
    same: int
    skipped: tuple[str, ...]
    shared: tuple[str, ...]


def save_captions(dataset: Dataset, mode: str) -> tuple[Dataset, list[Saved]]:
    """Write the captions of pictures that are files; others are left to :mod:`.save_folder`.

    Args:
        dataset: captions that are None are not written.
        mode: :data:`SKIP` leaves every caption file alone that is there; :data:`ONLY_EMPTY` those
            with words in them; :data:`OVERWRITE` none.

    Returns:
        The dataset with the files its captions are now in, and what was done, folder by folder.
        Each folder is one change: done whole or not at all.

    Raises:
        ConfigError: there is no such mode.
        DatasetError: two pictures would share a caption file and differ; or the disk refuses.
    """
    if mode not in (SKIP, OVERWRITE, ONLY_EMPTY):
        raise ConfigError(
            f"The mode is {mode!r}", expected=", ".join(MODES), remedy="Choose one of these"
        )
    folders = _plan(dataset, mode)
    saved = [_write(folder) for folder in folders]
    written = {
        (id(folder.origin), item.file): name
        for folder in folders for name, item in folder.owners.items()
    }
    items = tuple(
        dataclasses.replace(item, caption_file=written[key])
        if (key := (id(item.origin), item.file)) in written else item
        for item in dataset.items
    )
    return dataclasses.replace(dataset, items=items), saved


def undo_last_save(dataset: Dataset) -> list[ChangeSet]:
    """Take back the latest save of captions in every folder of the dataset.

    Raises:
        DatasetError: there is none; or a caption was changed since, then nothing is touched.
    """
    undone = []
    for origin in _origins(dataset):
        last = next(
            (c for c in list_changes(origin.root) if c.reason == REASON and c.status == DONE), None
        )
        if last is not None:
            undone.append(undo(origin.root, last.id))
    if not undone:
        raise DatasetError(
            "No captions were saved in the folders of this dataset, or all saves were undone",
            expected="a save to take back",
            remedy=f"Choose another mode; older changes are in {STATE_FOLDER}/changes",
        )
    return undone


def caption_file_for(item: DatasetItem) -> str:
    """Where the caption of a picture is written: the text file that it was read from, else one
    of the same name with the first ending that is looked for.
    """
    assert item.origin is not None
    picture = PurePosixPath(item.file)
    own = [picture.with_suffix(e).as_posix() for e in item.origin.caption_extensions]
    return item.caption_file if item.caption_file in own else own[0]


def read_provenance(origin: Origin, change_id: str) -> Mapping[str, Any]:
    """Who made the captions of one save, by caption file; see :func:`save_captions`."""
    import json

    path = origin.root / PROVENANCE_FOLDER / f"{change_id}.json"
    return json.loads(read_text(path, path.name, limit_bytes=2**28))


def _origins(dataset: Dataset) -> list[Origin]:
    found = {str(o.root): o for o in dataset.origins}
    found |= {str(i.origin.root): i.origin for i in dataset.items if i.origin is not None}
    return list(found.values())


def _plan(dataset: Dataset, mode: str) -> list[_Folder]:
    folders: dict[int, _Folder] = {}
    for item in dataset.items:
        if item.origin is None or item.caption is None:
            continue
        folder = folders.setdefault(id(item.origin), _Folder(item.origin))
        name = caption_file_for(item)
        _require_agreement(folder, name, item)
        there = _existing(folder.origin, item, name)
        if there is not None and there == item.caption.strip():
            folder.same += 1
            continue
        if there is not None and (mode == SKIP or (mode == ONLY_EMPTY and there)):
            folder.skipped.append(item.name)
            continue
        folder.writes[name] = item.caption.strip().encode("utf-8")
        folder.owners[name] = item
        if item.caption_file not in (None, name):
            folder.shared.append(item.name)
    return list(folders.values())


def _existing(origin: Origin, item: DatasetItem, name: str) -> str | None:
    """The caption in the file as it is now; None where no caption file is."""
    picture = PurePosixPath(item.file)
    names = [name, *(picture.with_suffix(e).as_posix() for e in origin.caption_extensions)]
    for candidate in names:
        path = contained_file(origin.root, candidate)
        if path.is_file():
            return read_text(path, candidate).strip()
    return None


def _require_agreement(folder: _Folder, name: str, item: DatasetItem) -> None:
    other = folder.claims.setdefault(name, item)
    if other.caption != item.caption:
        raise DatasetError(
            f"{other.name} and {item.name} share the caption file {name}, and have different "
            "captions",
            expected="a caption file for each picture",
            remedy="Rename one of the two pictures",
        )


def _write(folder: _Folder) -> Saved:
    change = None
    if folder.writes:
        changes = [WriteFile(name, data) for name, data in folder.writes.items()]
        change = apply_changes(folder.origin.root, changes, reason=REASON)
        _write_provenance(folder, change)
    return Saved(
        folder.origin, change, tuple(folder.writes), folder.same, tuple(folder.skipped),
        tuple(folder.shared),
    )


def _write_provenance(folder: _Folder, change: ChangeSet) -> None:
    """One file for each save, named like its entry in the journal. Earlier ones stay."""
    rows = {
        name: {"picture": item.file, "caption": item.caption, **provenance_of(item)}
        for name, item in folder.owners.items()
    }
    atomic.write_json(folder.origin.root / PROVENANCE_FOLDER / f"{change.id}.json", rows)


def provenance_of(item: DatasetItem) -> dict[str, Any]:
    """Who made a caption, for a JSON file; empty for one that a person wrote."""
    return {"made_by": dict(item.provenance)} if item.provenance else {}


def saved_text(saved: Iterable[Saved]) -> str:
    """What was done, for people."""
    lines = []
    for row in saved:
        facts = [f"{len(row.files)} caption files written"]
        if row.same:
            facts.append(f"{row.same} were the same already")
        if row.skipped:
            facts.append(f"{len(row.skipped)} left alone: {shorten(list(row.skipped))}")
        lines.append(f"{row.origin.name}: {', '.join(facts)}.")
        if row.shared:
            lines.append(
                f"{len(row.shared)} captions came from a file that they share; the new caption "
                f"files count from now on: {shorten(list(row.shared))}."
            )
        if row.change is not None:
            lines.append(
                f"What was there before is in {row.change.id} below .kiln/changes. To take it "
                f"back, choose '{UNDO}'."
            )
    return "\n".join(lines)
