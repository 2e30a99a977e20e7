"""The dataset after its files were changed, without reading all of it again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from ..change_journal import UNDONE
from ..changes import ChangeSet
from ..items import Dataset, DatasetItem, Fault, Origin, PictureAlpha, PictureFile
from ..own_files import STATE_FOLDER
from ..scan import REJECTED_FOLDER
from ..text import read_text
from .folder import stem_of


def follow(dataset: Dataset, sets: Iterable[ChangeSet]) -> Dataset:
    """The same pictures under their new names, with captions read anew where files changed.

    Pictures that were set aside are gone; faults of files that were set aside or rewritten too.
    Pictures that came back, by an undo, are seen when the folder is read again.

    Args:
        dataset: as it was read.
        sets: what was done since, in order, each as it stands now: done or undone.

    Raises:
        DatasetError: a caption cannot be read.
    """
    for made in sets:
        dataset = _follow_one(dataset, made)
    return dataset


class _Steps:
    """What became of each file of a folder."""

    def __init__(self, made: ChangeSet) -> None:
        self.root = made.root
        self.names: dict[str, str] = {}
        self.written: set[str] = set()
        self._before: dict[str, Path] = {}
        back = made.status == UNDONE
        first_names: dict[str, str] = {}  # The same the other way round.
        for row in reversed(made.rows) if back else made.rows:
            if "to" in row:
                old, new = (row["to"], row["path"]) if back else (row["path"], row["to"])
                first = first_names.pop(old, old)
                self.names[first] = new
                first_names[new] = first
            else:
                self.written.add(row["path"])
                if row["before"] and not back:
                    self._before.setdefault(row["path"], made.folder / "before" / row["before"])

    def of(self, file: str) -> str:
        return self.names.get(file, file)

    def said(self, caption_file: str) -> str | None:
        """What a caption file said before; None where that is not known any more."""
        path = self._before.get(caption_file)
        if path is None and caption_file not in self.written:
            path = self.root / self.of(caption_file)
        if path is None or not path.is_file():
            return None
        text = path.read_bytes().decode("utf-8-sig", "replace")
        return text.replace("\r\n", "\n").replace("\r", "\n").strip()

    def is_gone(self, file: str) -> bool:
        return _is_left_out(self.of(file)) or not (self.root / self.of(file)).exists()


def _is_left_out(file: str) -> bool:
    parts = PurePosixPath(file).parts
    hidden = any(part.startswith(".") for part in parts) or parts[0] == STATE_FOLDER
    return hidden or any(part.casefold() == REJECTED_FOLDER for part in parts[:-1])


def _follow_one(dataset: Dataset, made: ChangeSet) -> Dataset:
    steps = _Steps(made)
    origins = {
        id(origin): _origin(origin, steps) if origin.root == made.root else origin
        for origin in dataset.origins
    }
    by_root = {str(origin.root): origin for origin in origins.values()}
    items = []
    for item in dataset.items:
        if item.origin is None or item.origin.root != made.root:
            items.append(item)
            continue
        followed = _item(item, steps, by_root.get(str(made.root), item.origin))
        if followed is not None:
            items.append(followed)
    faults = [
        fault for fault in dataset.faults
        if fault.origin.root != made.root or not _is_mended(fault, steps)
    ]
    return dataclasses.replace(
        dataset, items=tuple(items), origins=tuple(origins.values()), faults=tuple(faults)
    )


def _is_mended(fault: Fault, steps: _Steps) -> bool:
    return steps.is_gone(fault.file) or fault.file in steps.written


def _origin(origin: Origin, steps: _Steps) -> Origin:
    """Its files under their new names, in the order of before; new files behind."""
    names = [steps.of(file) for file in origin.files]
    names += [*sorted(steps.written), *steps.names.values()]
    there = [
        name for name in dict.fromkeys(names)
        if not _is_left_out(name) and (steps.root / name).is_file()
    ]
    return dataclasses.replace(origin, files=tuple(there))


def _item(item: DatasetItem, steps: _Steps, origin: Origin) -> DatasetItem | None:
    """A picture after the changes; None where it was set aside."""
    file = item.file
    if steps.is_gone(file):
        # Another file of the name may have taken its place: the PNG of what was set aside.
        anew = f"{stem_of(file)}.png"
        if anew not in steps.written or not (steps.root / anew).is_file():
            return None
        now = anew
    else:
        now = steps.of(file)
    name = item.name
    if now != file and name.endswith(file):
        name = name.removesuffix(file) + now
    changed = now != file or now in steps.written
    source = PictureFile(steps.root / now, name) if changed else item.source
    caption_file, caption = _caption(item, now, steps, origin)
    mask = item.mask
    if isinstance(mask, PictureAlpha) and changed:
        mask = PictureAlpha(source)
    elif isinstance(mask, PictureFile) and mask.path.is_relative_to(steps.root):
        mask = _mask(mask, steps)
    return dataclasses.replace(
        item, name=name, file=now, source=source, caption=caption, caption_file=caption_file,
        mask=mask, origin=origin,
    )


def _mask(mask: PictureFile, steps: _Steps) -> PictureFile:
    relative = mask.path.relative_to(steps.root).as_posix()
    now = steps.of(relative)
    return mask if now == relative else PictureFile(steps.root / now, now)


def _caption(
    item: DatasetItem, now: str, steps: _Steps, origin: Origin
) -> tuple[str | None, str | None]:
    """Where the caption is, and what it says; one that a node has written is left alone."""
    file = item.caption_file
    if file is None and item.caption is not None:
        return None, item.caption
    if file is not None:
        own = stem_of(file) == stem_of(item.file)
        if file not in steps.names and file not in steps.written and (now == item.file or not own):
            return file, item.caption
        if item.caption is not None and steps.said(file) not in (None, item.caption):
            return steps.of(file), item.caption
    for ending in origin.caption_extensions:
        file = stem_of(now) + ending
        if (steps.root / file).is_file():
            return file, read_text(steps.root / file, file).strip()
    return None, None


def roots_of(dataset: Dataset) -> list[Path]:
    """The folders of a dataset."""
    return list(dict.fromkeys(origin.root for origin in dataset.origins))

