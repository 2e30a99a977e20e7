"""Pictures that become a dataset one by one, as a person accepts them.

Decisions are kept by the picture's hash in the dataset's own folder: the same picture, made or
loaded again, is not asked about twice.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..core import atomic
from ..core.errors import DatasetError
from .changes import Change, MoveFile, WriteFile, apply_changes
from .own_files import STATE_FOLDER, contained_file
from .review import ACCEPTED, REJECTED
from .scan import REJECTED_FOLDER
from .state_file import read_state

CURATED = f"{STATE_FOLDER}/curate.json"
UNDECIDED = ""
DECISIONS = (ACCEPTED, REJECTED, UNDECIDED)
_lock = threading.RLock()


@dataclass(frozen=True)
class Curated:
    """What was decided of a picture.

    Attributes:
        decision: one of :data:`DECISIONS`.
        file: where it is, or was, in the dataset; empty when it never was.
    """

    decision: str
    file: str


def read_curated(root: Path) -> dict[str, Curated]:
    """Decisions by the picture's SHA-256; none where nothing was decided yet.

    Raises:
        DatasetError: the file that keeps them is damaged.
    """
    rows = read_state(root, CURATED).get("pictures", {})
    return {
        sha: Curated(str(row.get("decision")), str(row.get("file", "")))
        for sha, row in rows.items()
        if isinstance(row, Mapping)
    }


def decide(
    root: Path, sha256: str, decision: str, *, candidate: Path, stem: str, caption: str
) -> Curated:
    """Accept a picture into the dataset, turn it down, or leave it undecided again.

    Accepting writes the picture and its caption, both or none. A picture that was accepted
    before goes to ``rejected/``; nothing is deleted.

    Args:
        root: the dataset's folder; made with the first decision.
        sha256: the picture's hash.
        decision: one of :data:`DECISIONS`.
        candidate: where its bytes are until it is accepted.
        stem: begins its file's name; already checked.
        caption: for the text file beside it; empty writes none.

    Raises:
        DatasetError: the candidate is gone, or the disk refuses.
    """
    with _lock:
        rows = read_curated(root)
        was = rows.get(sha256, Curated(UNDECIDED, ""))
        file = was.file or f"{stem}-{sha256[:8]}{candidate.suffix}"
        changes = (
            _into(root, file, candidate, caption) if decision == ACCEPTED else _out_of(root, file)
        )
        root.mkdir(parents=True, exist_ok=True)
        if changes:
            apply_changes(root, changes, reason=f"{decision or 'undecided'} {file}")
        kept = file if was.file or decision == ACCEPTED else ""
        rows[sha256] = Curated(decision, kept)
        content = {key: {"decision": row.decision, "file": row.file} for key, row in rows.items()}
        atomic.write_json(root / CURATED, {"pictures": content})
        return rows[sha256]


def _into(root: Path, file: str, candidate: Path, caption: str) -> list[Change]:
    changes: list[Change] = []
    text = PurePosixPath(file).with_suffix(".txt").as_posix()
    if not contained_file(root, file).exists():
        there = _set_aside(root, file)
        if there is not None:
            changes.append(MoveFile(there, file))
        else:
            changes.append(WriteFile(file, _read(candidate)))
        aside = _set_aside(root, text)
        if aside is not None:
            changes.append(MoveFile(aside, text))
    data = caption.strip().encode("utf-8")
    path = contained_file(root, text)
    if (data or path.exists()) and not (path.is_file() and path.read_bytes() == data):
        changes.append(WriteFile(text, data))
    return changes


def _out_of(root: Path, file: str) -> list[Change]:
    names = (file, PurePosixPath(file).with_suffix(".txt").as_posix())
    there = [name for name in names if contained_file(root, name).is_file()]
    number = 1
    while any((root / _aside(name, number)).exists() for name in there):
        number += 1
    return [MoveFile(name, _aside(name, number)) for name in there]


def _aside(name: str, number: int) -> str:
    path = PurePosixPath(REJECTED_FOLDER, name)
    return (path if number == 1 else path.with_stem(f"{path.stem}-{number}")).as_posix()


def _set_aside(root: Path, name: str) -> str | None:
    """Where a file is that was accepted once."""
    path = _aside(name, 1)
    return path if contained_file(root, path).is_file() else None


def _read(candidate: Path) -> bytes:
    try:
        return candidate.read_bytes()
    except OSError as error:
        raise DatasetError(
            "The picture is not kept any more: ComfyUI was restarted since",
            expected="a picture of the latest run",
            remedy="Queue the graph again; what you decided so far stays",
        ) from error
