"""Names that only some disks tell apart."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import PurePosixPath

from ...changes import MoveFile
from ..context import LintContext
from ..finding import ERROR, Finding, Fix
from ..folder import Folder, same_to_a_person, stem_of
from ..rule import Rule

NAME = "twin-names"


def _check(context: LintContext) -> Iterator[Finding]:
    for folder in context.folders:
        by_look: dict[str, list[str]] = {}
        for file in folder.pictures:
            by_look.setdefault(same_to_a_person(stem_of(file)), []).append(file)
        for files in by_look.values():
            if len({stem_of(file) for file in files}) > 1:
                yield _finding(folder, files)


def _finding(folder: Folder, files: list[str]) -> Finding:
    first = files[0]
    other = next(file for file in files[1:] if stem_of(file) != stem_of(first))
    nfc = unicodedata.normalize("NFC", stem_of(first)) == unicodedata.normalize(
        "NFC", stem_of(other)
    )
    why = "in how their accents are stored" if nfc else "in capital letters"
    text = (
        f"{first} and {other} differ only {why}: on another disk, or in a zip, one of them takes "
        "the other's place or caption."
    )
    items = tuple(folder.items[file].name for file in files if file in folder.items)
    return Finding(NAME, ERROR, text, items, fix=_fix(folder, other))


def _fix(folder: Folder, file: str) -> Fix | None:
    """A number for the second, and for all that goes with it."""
    if folder.loses_by_rename(file):
        return None
    stem = folder.free_stem(stem_of(file))
    old, new = PurePosixPath(stem_of(file)).name, PurePosixPath(stem).name
    moves = []
    for member in [file, *folder.companions(file)]:
        path = PurePosixPath(member)
        if path.name.startswith(old):
            target = path.with_name(new + path.name.removeprefix(old)).as_posix()
            moves.append(MoveFile(member, target))
    return Fix(folder.origin, tuple(moves), f"rename {file} to {moves[0].to}, and what is its own")


RULE = Rule(
    name=NAME,
    doc="Pictures whose names differ in capital letters alone, or in how accents are stored (macOS "
    "takes é apart into two). Copied to Windows or macOS, or packed into a zip, one is lost.",
    check=_check,
    levels=(ERROR,),
    fixes="puts a number behind the second name, its caption and mask included",
)
