"""The journal of a set of changes: what was done to which file, kept in the dataset's folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any

from ..core import atomic
from ..core.errors import DatasetError
from .own_files import STATE_FOLDER, contained_file

CHANGES_FOLDER = f"{STATE_FOLDER}/changes"
JOURNAL = "journal.json"
BEGUN, DONE, UNDONE, DAMAGED = "begun", "done", "undone", "damaged"


@dataclass(frozen=True)
class ChangeSet:
    """What was done together, and is taken back together.

    Attributes:
        root: the dataset's folder.
        id: name of its folder below ``.kiln/changes``.
        reason: why, in a few words.
        status: ``begun`` (a process was killed in between), ``done`` or ``undone``; in a list
            also ``damaged``.
        rows: one JSON object per change: ``path``, ``before`` and ``after`` (SHA-256 or null);
            of a move also ``to``.
    """

    root: Path
    id: str
    reason: str
    status: str
    rows: tuple[Mapping[str, Any], ...]

    @property
    def folder(self) -> Path:
        """Where its journal and the bytes from before are."""
        return self.root / CHANGES_FOLDER / self.id


def list_changes(root: Path) -> list[ChangeSet]:
    """Every set of changes of a folder, the latest first.

    One whose journal is damaged is there too, with the status ``damaged`` and without rows, so
    that it does not stand in the way of the others; :func:`read_journal` says what it lacks.
    """
    folder = root / CHANGES_FOLDER
    ids = sorted((p.parent.name for p in folder.glob(f"*/{JOURNAL}")), reverse=True)
    return [_listed(root, change_id) for change_id in ids]


def _listed(root: Path, change_id: str) -> ChangeSet:
    try:
        return read_journal(root, change_id)
    except DatasetError:
        return ChangeSet(root, change_id, "", DAMAGED, ())


def new_id(reason: str) -> str:
    """A name that sorts by time and tells the reason."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    word = re.sub(r"[^A-Za-z0-9]+", "-", reason).strip("-").lower()[:40] or "change"
    return f"{stamp}-{word}"


def write_journal(made: ChangeSet, status: str) -> ChangeSet:
    """Write it with another status, and return the set of changes with that."""
    atomic.write_json(
        made.folder / JOURNAL,
        {"reason": made.reason, "status": status, "rows": [dict(row) for row in made.rows]},
    )
    return ChangeSet(made.root, made.id, made.reason, status, made.rows)


def read_journal(root: Path, change_id: str) -> ChangeSet:
    """Read one.

    Raises:
        DatasetError: there is none of this name, or it is damaged.
    """
    try:
        # One word: it comes from a list that a person chose from, or from the browser.
        one_word = PurePosixPath(change_id).name == change_id and not set(change_id) & set("\\:")
        if not one_word or change_id in ("", ".", ".."):
            raise FileNotFoundError(change_id)
        content = json.loads((root / CHANGES_FOLDER / change_id / JOURNAL).read_text("utf-8"))
        rows = tuple(content["rows"])
        for row in rows:
            for name in (row["path"], row.get("to", row["path"])):
                contained_file(root, name)
            _require_hashes(row)
        return ChangeSet(root, change_id, str(content["reason"]), str(content["status"]), rows)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"There is no readable change {change_id!r} in {root.name}",
            expected=f"a folder of this name with a {JOURNAL} in {CHANGES_FOLDER}",
            remedy="Choose one that is listed",
        ) from error


def _require_hashes(row: Mapping[str, Any]) -> None:
    for value in (row["before"], row["after"]):
        if value is not None and not re.fullmatch(r"[0-9a-f]{64}", value):
            raise ValueError(f"{value!r} is no SHA-256")
