"""kohya's ``meta_cap.json``, ``meta_lat.json`` and so on: one table of captions and tags.

Their keys are file stems, paths below a folder, or whole paths on the machine that wrote them
(``--full_path``). A key belongs to the picture whose path below the folder is its end. No key is
ever opened as a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ...core.errors import DatasetError, shorten
from ..fault_book import FaultBook
from ..metadata import json_records
from ..text import read_text
from ..walk import Listing, name_of, normal, parent_of, stem_of
from .json_sidecars import read_json
from .reader import Reader, ReadOptions, Said

LIMIT_BYTES = 256 * 2**20
_NAME = re.compile(r"meta(_[a-z0-9_]+)?\.json")
# In the order in which kohya's scripts write them; the last knows most.
_STAGES = ("meta.json", "meta_cap.json", "meta_cap_dd.json", "meta_clean.json", "meta_lat.json")
_FIELDS = ("caption", "tags", "train_resolution")
_LONGEST_KEY = 4096
_MOST_PARTS = 64
"""Folders deeper than this are not looked for: every end of a key costs its length."""


def match_rows(
    content: Any, file: str, pictures: Sequence[str], below: str = ""
) -> tuple[dict[str, Said], list[str]]:
    """What such a file says about each picture, and the keys of pictures that are not there.

    Args:
        content: of the file.
        file: what it is called in messages.
        pictures: POSIX paths below the dataset's folder.
        below: what they begin with, which keys leave out: the folder of the file.

    Raises:
        DatasetError: it is no such table; the key is named.
    """
    if not is_meta(content):
        raise _malformed(file, "it is no table of pictures")
    matched: dict[str, Said] = {}
    gone: list[str] = []
    known = _picture_index(pictures, len(below))
    for key, row in content.items():
        if len(key) > _LONGEST_KEY:
            raise _malformed(file, f"a key has {len(key)} letters")
        picture = next((known[end] for end in _ends(key) if end in known), None)
        said = _said(row, key, file)
        if picture is None:
            gone.append(key)
        elif picture in matched:
            raise _malformed(file, f"two rows are about {picture}, the second {key!r}")
        else:
            matched[picture] = said
    return matched, gone


def is_meta(content: Any) -> bool:
    """Whether the content of a JSON file looks like kohya's table."""
    return (
        isinstance(content, dict)
        and bool(content)
        and all(isinstance(row, dict) for row in content.values())
        and any(name in row for row in content.values() for name in _FIELDS)
    )


def read_meta(path: Path, file: str) -> Any:
    """The content of such a file, JSON or JSON lines with ``image_path``.

    Raises:
        DatasetError: it is malformed.
    """
    if not file.casefold().endswith(".jsonl"):
        return read_json(path, file, LIMIT_BYTES)
    text = read_text(path, file, limit_bytes=LIMIT_BYTES)
    rows: dict[str, Any] = {}
    for line, row in json_records(text, file):
        key = row.get("image_path", "")
        if not key or key in rows:
            why = f"{key[:200]!r} for the second time" if key else "no image_path"
            raise _malformed(file, f"line {line} has {why}")
        rows[key] = row
    return rows


class _KohyaMeta:
    """The meta files of a folder: in each sub-folder the latest counts, the nearest first."""

    def __init__(self, listing: Listing, options: ReadOptions, faults: FaultBook) -> None:
        self._listing, self._faults = listing, faults
        self._known: dict[str, Said] = {}
        self._notes: list[str] = []
        by_folder: dict[str, list[str]] = {}
        for file in listing.others:
            if _NAME.fullmatch(name_of(file).casefold()):
                by_folder.setdefault(parent_of(file), []).append(file)
        pictures = _below(listing.pictures, by_folder)
        for folder in sorted(by_folder, key=lambda name: (name.count("/") + bool(name), name)):
            self._read_latest(sorted(by_folder[folder], key=_stage), pictures[folder])
        if options.meta_file is not None:
            self._read_given(*options.meta_file)

    def _read_latest(self, files: list[str], pictures: list[str]) -> None:
        for file in reversed(files):
            path = self._listing.root / file
            content = self._faults.attempt(file, partial(read_meta, path, file))
            if is_meta(content):
                before = file[: len(file) - len(name_of(file))]
                make = partial(match_rows, content, file, pictures, before)
                found = self._faults.attempt(file, make)
                if found is not None:
                    self._take(file, *found)
                if len(files) > 1:
                    others = [other for other in files if other != file]
                    self._notes.append(f"{file} was read and not {shorten(others)}.")
                return

    def _read_given(self, path: Path, name: str) -> None:
        content = read_meta(path, name)
        rows, gone = match_rows(content, name, self._listing.pictures)
        if self._listing.find(name) is None:  # It stands elsewhere and is nobody's to edit.
            rows = {picture: replace(said, caption_file=None) for picture, said in rows.items()}
        self._take(name, rows, gone)

    def _take(self, file: str, rows: dict[str, Said], gone: list[str]) -> None:
        self._known |= rows
        if gone:
            self._notes.append(f"{file} names pictures that are not here: {shorten(gone)}.")

    def of(self, picture: str) -> Said | None:
        return self._known.get(picture)

    def notes(self) -> list[str]:
        return self._notes


def _below(pictures: Sequence[str], folders: Iterable[str]) -> dict[str, list[str]]:
    """The pictures below each of some folders, at any depth."""
    found: dict[str, list[str]] = {folder: [] for folder in folders}
    for picture in pictures if found else ():
        folder = picture
        while folder:
            folder = parent_of(folder)
            if folder in found:
                found[folder].append(picture)
    return found


def _stage(file: str) -> tuple[int, str]:
    name = name_of(file).casefold()
    return (_STAGES.index(name) if name in _STAGES else len(_STAGES), name)


def _picture_index(pictures: Sequence[str], skip: int) -> dict[str, str]:
    """Pictures by path and by path without ending; a stem of two pictures means neither.

    The stem of the file alone, as kohya writes it without ``--full_path``, is looked for last.
    """
    index: dict[str, str] = {}
    paths: dict[str, list[str]] = {}
    names: dict[str, list[str]] = {}
    for picture in pictures:
        stem = normal(stem_of(picture[skip:]))
        index[normal(picture[skip:])] = picture
        paths.setdefault(stem, []).append(picture)
        names.setdefault(name_of(stem), []).append(picture)
    for found in (paths, names):
        for key, same in found.items():
            if len(same) == 1:
                index.setdefault(key, same[0])
    return index


def _ends(key: str) -> Iterator[str]:
    """A key and what is left of it without its first folders, one after the other."""
    parts = normal(key.replace("\\", "/")).removeprefix("./").split("/")
    rest = "/".join(parts[-_MOST_PARTS:])
    while rest:
        yield rest
        _, slash, rest = rest.partition("/")
        if not slash:
            return


def _said(row: Mapping[str, Any], key: str, file: str) -> Said:
    caption, tags = _text(row, "caption", key, file), _text(row, "tags", key, file)
    both = ", ".join(part for part in (caption, tags) if part)
    present = caption is not None or tags is not None
    columns = {"tags": tags} if tags else {}
    return Said(both if present else None, file if present else None, columns=columns)


def _text(row: Mapping[str, Any], name: str, key: str, file: str) -> str | None:
    value = row.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise _malformed(file, f"{name} of {key[:200]!r} is no text")
    return value.strip().strip(",").strip()


def _malformed(file: str, why: str) -> DatasetError:
    return DatasetError(
        f"{file} is malformed: {why}",
        expected='{"picture": {"caption": "…", "tags": "…"}, …}, as kohya\'s scripts write it',
        remedy="Write it anew with them, or take it out of the folder",
    )


READER = Reader(
    name="kohya meta", order=40, title="kohya's table", open=_KohyaMeta, beside_given=True
)
