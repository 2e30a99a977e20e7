"""What a person decides about the pictures of a folder, one by one, while looking at them.

A caption is saved only where the file still says what the person saw; a picture that is turned
down moves to ``rejected/`` together with its captions and masks; both can be taken back. What was
accepted is remembered beside the pictures, with the caption that it was accepted with.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ..core import atomic
from ..core.errors import DatasetError
from .change_journal import read_journal
from .changes import Change, ChangeSet, MoveFile, WriteFile, apply_changes, undo
from .items import sha256_of
from .mask_files import masked_stem, stem_of
from .own_files import STATE_FOLDER, contained_file
from .scan import PICTURE_EXTENSIONS, REJECTED_FOLDER, listed_files
from .state_file import read_state
from .text import read_text

DECISIONS = f"{STATE_FOLDER}/review.json"
ACCEPTED, REJECTED, CHANGED = "accepted", "rejected", "changed"
"""What is known of a picture; ``changed``: its caption is another than the accepted one."""
_SIDECARS = {".txt", ".caption", ".json"}
_lock = threading.RLock()


class Conflict(DatasetError):
    """A caption was changed by others while a person was editing it.

    Attributes:
        now: what the file says; None where there is none any more.
    """

    def __init__(self, file: str, now: str | None) -> None:
        self.now = now
        super().__init__(
            f"The caption of {file} was changed elsewhere since it was shown here",
            expected="the text that you saw",
            remedy="Look at both texts and keep the one you want",
        )


@dataclass
class Decisions:
    """The decisions of a folder.

    Attributes:
        accepted: SHA-256 of the caption that a picture was accepted with, by its file.
        rejected: id of the change that took a picture away, by the file that it was.
    """

    accepted: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)

    def of(self, file: str, caption: str | None) -> str:
        """What was decided of a picture; empty when nothing was."""
        if file in self.rejected:
            return REJECTED
        with_caption = self.accepted.get(file)
        if with_caption is None:
            return ""
        return ACCEPTED if with_caption == _digest(caption) else CHANGED


def read_decisions(root: Path) -> Decisions:
    """The decisions of a folder.

    Raises:
        DatasetError: the file that keeps them is damaged.
    """
    content = read_state(root, DECISIONS)
    accepted, gone = (_texts(content.get(key, {})) for key in (ACCEPTED, REJECTED))
    # Lint, curating or a person may have brought a picture back meanwhile.
    return Decisions(accepted, {f: c for f, c in gone.items() if not (root / f).is_file()})


def caption_now(root: Path, file: str, extensions: Iterable[str]) -> tuple[str, str | None]:
    """The caption file of a picture, whether it exists or not, and what it says.

    Raises:
        DatasetError: the name leads out, or the file is not UTF-8.
    """
    names = [PurePosixPath(file).with_suffix(extension).as_posix() for extension in extensions]
    for name in names:
        path = contained_file(root, name)
        if path.is_file():
            return name, read_text(path, name).strip()
    return names[0], None


def save_caption(
    root: Path, file: str, text: str, *, seen: str | None, extensions: Sequence[str]
) -> ChangeSet:
    """Write the caption of one picture.

    Args:
        root: the dataset's folder.
        file: the picture, below it.
        text: the new caption.
        seen: what the caption file said when the person began; None where there was none.
        extensions: endings of caption files in the order in which they are looked for.

    Raises:
        Conflict: it says something else by now. Nothing was written.
        DatasetError: there is no such picture, or the disk refuses.
    """
    require_picture(root, file)
    with _lock:
        name, now = caption_now(root, file, extensions)
        if now != seen:
            raise Conflict(file, now)
        path = contained_file(root, name)
        before = path.read_bytes() if now is not None else None
        end = "\n" if before is not None and before.endswith(b"\n") else ""
        data = (text.replace("\r\n", "\n").strip() + end).encode("utf-8")
        made = apply_changes(root, [WriteFile(name, data)], reason=f"caption of {file}")
        # The look and the writing are two moments: the journal knows what was overwritten.
        if made.rows[0]["before"] != (None if before is None else sha256_of(before)):
            undo(root, made.id)
            raise Conflict(file, caption_now(root, file, extensions)[1])
        return made


def accept(root: Path, file: str, caption: str | None, *, accepted: bool = True) -> None:
    """Remember that a picture is good as it is, with its caption; or forget it."""
    require_picture(root, file)
    with _lock:
        decisions = read_decisions(root)
        decisions.accepted.pop(file, None)
        if accepted:
            decisions.accepted[file] = _digest(caption)
        _write(root, decisions)


def reject(root: Path, file: str) -> ChangeSet:
    """Move a picture to ``rejected/``, with the captions and masks that are its own.

    Raises:
        DatasetError: there is no such picture, or the disk refuses; then nothing has moved.
    """
    require_picture(root, file)
    with _lock:
        decisions = read_decisions(root)  # Should it be damaged, nothing has moved yet.
        made = apply_changes(root, _moves(root, file), reason=f"rejected {file}")
        decisions.accepted.pop(file, None)
        decisions.rejected[file] = made.id
        _write(root, decisions)
        return made


def take_back(root: Path, change_id: str) -> ChangeSet:
    """Undo a caption or a rejection.

    Raises:
        DatasetError: there is no such change, or files were changed since.
    """
    with _lock:
        decisions = read_decisions(root)
        made = undo(root, change_id)
        back = [file for file, change in decisions.rejected.items() if change == change_id]
        for file in back:
            del decisions.rejected[file]
        if back:
            _write(root, decisions)
        return made


def require_picture(root: Path, file: str) -> Path:
    """The path of a picture of the folder.

    Raises:
        DatasetError: it is not there, or no picture.
    """
    path = contained_file(root, file)
    if path.suffix.lower() in PICTURE_EXTENSIONS and path.is_file():
        return path
    raise DatasetError(
        f"There is no picture {file}", expected="one of the folder", remedy="Queue the graph again"
    )


def rejected_picture(root: Path, file: str, decisions: Decisions | None = None) -> Path | None:
    """Where a picture is that was turned down; None where it was not, or is not there any more.

    Args:
        root: the dataset's folder.
        file: what it was called before.
        decisions: where they were read already.

    Raises:
        DatasetError: the files that keep decisions or changes are damaged.
    """
    change = (decisions or read_decisions(root)).rejected.get(file)
    rows = read_journal(root, change).rows if change else ()
    moved = next((row["to"] for row in rows if row["path"] == file and "to" in row), None)
    path = contained_file(root, moved) if moved else None
    return path if path and path.suffix.lower() in PICTURE_EXTENSIONS and path.is_file() else None


def _moves(root: Path, file: str) -> list[Change]:
    """A picture, and what belongs to it alone."""
    stem = stem_of(file)
    names = [path.relative_to(root).as_posix() for path in listed_files(root)]
    beside = [
        name for name in names if name != file and (masked_stem(name) or stem_of(name)) == stem
    ]
    masks = [name for name in beside if masked_stem(name) is not None]
    shared = any(_is_picture(name) for name in beside if name not in masks)
    sidecars = [name for name in beside if PurePosixPath(name).suffix.lower() in _SIDECARS]
    # Of a.png and a.jpg, each without the other still wants a.txt.
    moved = [file] if shared else [file, *masks, *sidecars]
    number = ""
    while any((root / _rejected(name, number)).exists() for name in moved):
        number = f"-{int(number[1:] or 1) + 1}"
    return [MoveFile(name, _rejected(name, number)) for name in moved]


def _rejected(name: str, number: str) -> str:
    path = PurePosixPath(REJECTED_FOLDER, name)
    label = "-masklabel" if path.stem.casefold().endswith("-masklabel") else ""
    stem = path.stem[: len(path.stem) - len(label)]
    return path.with_name(f"{stem}{number}{label}{path.suffix}").as_posix()


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in PICTURE_EXTENSIONS



def _digest(caption: str | None) -> str:
    return sha256_of((caption or "").encode("utf-8", "replace"))


def _texts(value: Mapping[str, Any]) -> dict[str, str]:
    return {key: text for key, text in value.items() if isinstance(text, str)}


def _write(root: Path, decisions: Decisions) -> None:
    content = {ACCEPTED: decisions.accepted, REJECTED: decisions.rejected}
    atomic.write_json(root / DECISIONS, content)
