"""Captions of several lines."""

from __future__ import annotations

from collections.abc import Iterator

from ...changes import WriteFile
from ...items import DatasetItem
from ...text import read_text
from ..context import LintContext
from ..finding import WARNING, Finding, Fix
from ..folder import Folder
from ..rule import Rule

NAME = "multiline-caption"


def _check(context: LintContext) -> Iterator[Finding]:
    folders = {str(folder.origin.root): folder for folder in context.folders}
    for item in context.dataset.items:
        lines = [line.strip() for line in (item.caption or "").splitlines() if line.strip()]
        if len(lines) > 1:
            folder = folders.get(str(item.origin.root)) if item.origin else None
            yield Finding(
                NAME, WARNING,
                f"The caption of {item.name} has {len(lines)} lines. All of it is learned here; "
                "other trainers read the first line only, or one at random.",
                (item.name,), fix=_fix(folder, item, lines) if folder else None,
            )


def _fix(folder: Folder, item: DatasetItem, lines: list[str]) -> Fix | None:
    file = folder.sidecar(item)
    # A caption that a node has written since is not the file's.
    if file is None or read_text(folder.origin.root / file, file).strip() != item.caption:
        return None
    tags = any("," in line for line in lines)
    joined = (", " if tags else " ").join(line.rstrip(",") if tags else line for line in lines)
    text = f"write {file} in one line"
    return Fix(folder.origin, (WriteFile(file, joined.encode("utf-8")),), text, safe=False)


RULE = Rule(
    name=NAME,
    doc="A caption of several lines. What that means depends on the trainer: all of it, the first "
    "line, or one line at random.",
    check=_check,
    fixes="joins the lines, with commas where they are tags; not unseen, since the lines may be "
    "meant as alternatives",
)
