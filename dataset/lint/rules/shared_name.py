"""Pictures of one name and different endings, which share one caption file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from ...changes import Change, MoveFile, WriteFile
from ...own_files import contained_file, read_small
from ..context import LintContext
from ..finding import ERROR, WARNING, Finding, Fix
from ..folder import Folder, ending_of, stem_of
from ..rule import Rule

NAME = "shared-name"


def _check(context: LintContext) -> Iterator[Finding]:
    for folder in context.folders:
        by_stem: dict[str, list[str]] = {}
        for file in folder.pictures:
            by_stem.setdefault(stem_of(file), []).append(file)
        for files in by_stem.values():
            if len(files) > 1:
                yield _finding(folder, files)


def _finding(folder: Folder, files: list[str]) -> Finding:
    shared = folder.shared(files[0])
    items = tuple(folder.items[file].name for file in files if file in folder.items)
    names = " and ".join(files)
    captioned = [file for file in shared if folder.is_caption(file)]
    if captioned:
        text = (
            f"{names} share the caption {captioned[0]}: if they are different pictures, one of "
            "them is trained on what the other shows."
        )
    else:
        text = f"{names} have the same name: a caption or a mask of that name would be for both."
    level = ERROR if captioned else WARNING
    return Finding(NAME, level, text, items, tuple(shared), _fix(folder, files, shared))


def _fix(folder: Folder, files: list[str], shared: list[str]) -> Fix | None:
    """The first keeps its name; the others get their ending into it, and copies of what is shared.

    Nothing that is trained changes by that, so that a person still has to look at the captions:
    therefore it is not safe to be done unseen.
    """
    if any(map(folder.loses_by_rename, files[1:])):
        return None
    changes: list[Change] = []
    said = []
    for file in files[1:]:
        stem = folder.free_stem(f"{stem_of(file)}_{ending_of(file)[1:]}")
        old = PurePosixPath(stem_of(file)).name
        new = PurePosixPath(stem).name
        target = stem + PurePosixPath(file).suffix
        changes.append(MoveFile(file, target))
        said.append(f"{file} to {target}")
        for other in shared:
            path = PurePosixPath(other)
            copy = path.with_name(new + path.name.removeprefix(old)).as_posix()
            data = read_small(contained_file(folder.origin.root, other), other)
            changes.append(WriteFile(copy, data))
    also = " with a copy of the caption; read both afterwards" if shared else ""
    return Fix(folder.origin, tuple(changes), f"rename {', '.join(said)}{also}", safe=False)


RULE = Rule(
    name=NAME,
    doc="Two pictures whose names differ in the ending alone, such as 123.png and 123.jpg. They "
    "share 123.txt, which describes one of them, or one of them came from elsewhere and was never "
    "captioned.",
    check=_check,
    levels=(ERROR, WARNING),
    fixes="gives the second a name of its own, with copies of the caption and the mask; never "
    "unseen, since only you know whom the caption describes",
)
