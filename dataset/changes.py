"""Changes to a person's files that can be taken back, byte for byte.

Whatever writes, renames or sets aside files of a dataset does it through :func:`apply_changes`:
lint fixes, saved captions, a caption edited in the browser. What was there before is kept in the
dataset's own folder below ``.kiln/changes/<time>-<reason>/``, which no scan looks into, and
:func:`undo` brings it back. Nothing is ever deleted.

The journal is on the disk before the first file is touched. A process that was killed in between
leaves each file as it was or as it was to become, and undo sees which.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import atomic
from ..core.errors import DatasetError
from .change_journal import (
    BEGUN,
    CHANGES_FOLDER,
    DONE,
    UNDONE,
    ChangeSet,
    list_changes,
    new_id,
    read_journal,
    write_journal,
)
from .items import sha256_of
from .own_files import contained_file, hash_now, refused, require_own_file

__all__ = ["Change", "ChangeSet", "MoveFile", "WriteFile", "apply_changes", "list_changes", "undo"]
_lock = threading.RLock()


@dataclass(frozen=True)
class WriteFile:
    """Give a file this content, whether it exists or not.

    Attributes:
        path: below the folder, with forward slashes.
        data: the new bytes.
    """

    path: str
    data: bytes


@dataclass(frozen=True)
class MoveFile:
    """Move a file to a name that is free.

    Attributes:
        path: below the folder, with forward slashes.
        to: likewise; folders on the way are made.
    """

    path: str
    to: str


Change = WriteFile | MoveFile


def apply_changes(root: Path, changes: Sequence[Change], *, reason: str) -> ChangeSet:
    """Do all of these changes, or none.

    Changes are done in order; a later one sees what an earlier one did.

    Args:
        root: the dataset's folder.
        changes: at least one.
        reason: why, for the journal and the list of changes.

    Raises:
        DatasetError: a name leads out of the folder, a file to be moved is not there, a target
            is taken, or the disk refuses. Then everything is as before.
    """
    with _lock:
        rows, backups = _plan(root, changes)
        made = ChangeSet(root, new_id(reason), reason, BEGUN, tuple(rows))
        try:
            for data in backups:
                atomic.write_bytes(made.folder / "before" / sha256_of(data), data)
            write_journal(made, BEGUN)
        except OSError as error:
            raise refused(made.folder, error) from error
        done = 0
        try:
            for change in changes:
                _do(root, change)
                done += 1
        except OSError as error:
            _roll_back(made, done)
            raise refused(root / changes[done].path, error) from error
        return write_journal(made, DONE)


def undo(root: Path, change_id: str) -> ChangeSet:
    """Bring back what was there before a set of changes, byte for byte.

    Also finishes taking back what a killed process had only begun. Taking back twice does
    nothing.

    Raises:
        DatasetError: there is no such set, or a file was changed since; then nothing is touched.
    """
    with _lock:
        made = read_journal(root, change_id)
        if made.status == UNDONE:
            return made
        for row in reversed(made.rows[: _how_many_are_done(made)]):
            _take_back(made, row)
        return write_journal(made, UNDONE)


@dataclass(frozen=True)
class _Content:
    """What a file will hold: its hash, and where the bytes are until then."""

    sha256: str
    source: bytes | Path

    @property
    def data(self) -> bytes:
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


class _Future:
    """What the folder will hold after the changes so far."""

    def __init__(self, root: Path) -> None:
        self._root, self._later = root, dict[str, _Content | None]()

    def __getitem__(self, relative: str) -> _Content | None:
        if relative not in self._later:
            found = hash_now(self._root, relative)
            path = contained_file(self._root, relative)
            self._later[relative] = _Content(found, path) if found else None
        return self._later[relative]

    def __setitem__(self, relative: str, content: _Content | None) -> None:
        self._later[relative] = content


def _plan(root: Path, changes: Sequence[Change]) -> tuple[list[dict[str, Any]], list[bytes]]:
    """The journal's rows, and the bytes that would be overwritten."""
    future, rows, backups = _Future(root), [], {}
    for change in changes:
        there = future[change.path]
        before = there.sha256 if there else None
        if isinstance(change, WriteFile):
            require_own_file(root, change.path)
            after = sha256_of(change.data)
            if there:
                backups[there.sha256] = there.data
            future[change.path] = _Content(after, change.data)
            rows.append({"path": change.path, "before": before, "after": after})
            continue
        if there is None:
            raise _missing(change.path)
        if future[change.to] is not None and not _same_file(root, change):
            raise _taken(change)
        future[change.path], future[change.to] = None, there
        rows.append({"path": change.path, "to": change.to, "before": before, "after": before})
    return rows, list(backups.values())


def _same_file(root: Path, change: MoveFile) -> bool:
    """Whether only the letters' case differs, on a disk that does not tell them apart."""
    source, target = root / change.path, root / change.to
    return change.path != change.to and source.exists() and target.exists() and (
        change.path.casefold() == change.to.casefold() and os.path.samefile(source, target)
    )


def _do(root: Path, change: Change) -> None:
    path = contained_file(root, change.path)
    if isinstance(change, WriteFile):
        atomic.write_bytes(path, change.data)
        return
    target = contained_file(root, change.to)
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(target) and not _same_file(root, change):
        raise FileExistsError(17, "another file has this name now", str(target))
    os.rename(path, target)
    atomic.sync_folder(target.parent)


def _roll_back(made: ChangeSet, done: int) -> None:
    """Take back the first changes of a set; the next one too, if it was made before its error.

    :func:`undo` would refuse where another program has just taken the name that a file was to get.
    """
    row = made.rows[done]
    there = hash_now(made.root, row.get("to", row["path"])) == row["after"]
    moved = "to" not in row or not os.path.lexists(contained_file(made.root, row["path"]))
    for made_row in reversed(made.rows[: done + (there and moved)]):
        _take_back(made, made_row)
    write_journal(made, UNDONE)


Tree = dict[str, str | None]
"""SHA-256 by file; None where no file is."""


def _how_many_are_done(made: ChangeSet) -> int:
    """How many of the changes the disk shows: all, or as many as a killed process came to.

    Raises:
        DatasetError: it shows neither: a file was changed by others since.
    """
    last, earlier = _history(made.rows)
    spellings = Counter(name.casefold() for name in last)
    now = {
        name: _hash_exact(made.root, name, alone=spellings[name.casefold()] == 1) for name in last
    }
    # Of each state only what a change touched is looked at again: there may be 50,000 changes.
    unlike = {name for name in now if now[name] != last[name]}
    changed = next((name for name in now if name in unlike), "")
    for count in range(len(made.rows), -1, -1):
        if not unlike:
            return count
        for name, sha256 in earlier[count - 1].items() if count else ():
            (unlike.discard if now[name] == sha256 else unlike.add)(name)
    raise DatasetError(
        f"{changed} was changed since '{made.reason}' ({made.id})",
        expected="files as that change left them",
        remedy="Undo later changes first; the bytes from before are in "
        f"{CHANGES_FOLDER}/{made.id}/before",
    )


def _history(rows: Sequence[Mapping[str, Any]]) -> tuple[Tree, list[Tree]]:
    """The files concerned after the last change; and for every change, what it touched before."""
    tree: Tree = {}
    for row in rows:
        tree.setdefault(row["path"], row["before"])
        if "to" in row:
            tree.setdefault(row["to"], None)
    earlier: list[Tree] = []
    for row in rows:
        moved = {row["path"]: None, row["to"]: row["after"]} if "to" in row else {}
        touched: Tree = moved or {row["path"]: row["after"]}
        earlier.append({name: tree[name] for name in touched})
        tree |= touched
    return tree, earlier


def _hash_exact(root: Path, name: str, *, alone: bool) -> str | None:
    """As :func:`hash_now`, but ``a.PNG`` is not ``a.png``, even to a disk that takes it so.

    Args:
        root: the dataset's folder.
        name: below it.
        alone: whether no other file is concerned whose name differs in its letters' case only.
    """
    path = contained_file(root, name)
    if not alone and path.parent.is_dir() and path.name not in os.listdir(path.parent):
        return None
    return hash_now(root, name)


def _take_back(made: ChangeSet, row: Mapping[str, Any]) -> None:
    path = contained_file(made.root, row["path"])
    if "to" in row:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.rename(contained_file(made.root, row["to"]), path)
        atomic.sync_folder(path.parent)
    elif row["before"] is not None:
        atomic.write_bytes(path, (made.folder / "before" / row["before"]).read_bytes())
    else:
        # The file was new. It is kept: nothing is ever deleted.
        kept = made.folder / "after" / row["after"]
        kept.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, kept)


def _missing(relative: str) -> DatasetError:
    return DatasetError(
        f"{relative} is not there",
        expected="the file that was found when the folder was read",
        remedy="Queue the graph again",
    )


def _taken(change: MoveFile) -> DatasetError:
    return DatasetError(
        f"{change.path} cannot become {change.to}: there is a file of that name",
        expected="a name that is free",
        remedy="Rename or move one of the two yourself",
    )
