"""Captions whose name misses their picture's by a letter or two."""

from __future__ import annotations

from collections.abc import Iterator

from ....core.errors import shorten
from ..caption_names import NearMiss, caption_names, rename_fix
from ..context import LintContext
from ..finding import ERROR, WARNING, Finding
from ..folder import Folder
from ..rule import Rule

NAME = "near-miss-caption"


def _check(context: LintContext) -> Iterator[Finding]:
    for folder in context.folders:
        names = caption_names(folder)
        yield from (_finding(folder, near) for near in names.near)
        if names.uncompared:
            yield Finding(
                NAME, WARNING,
                f"{names.uncompared} captions without a picture in {folder.origin.name} are too "
                "many to be compared with as many pictures letter by letter: only case, spaces "
                "and punctuation were looked through.",
            )


def _finding(folder: Folder, near: NearMiss) -> Finding:
    pictures = list(near.pictures)
    if near.certain:
        text = (
            f"{pictures[0]} has no caption, and {near.caption} has no picture: the picture would "
            "be trained without what is written for it."
        )
    else:
        text = (
            f"{near.caption} has no picture. It may belong to {shorten(pictures)}, but something "
            "else is as likely; look before you rename it."
        )
    items = tuple(folder.items[file].name for file in near.pictures)
    return Finding(
        NAME, ERROR, text, items, (near.caption,), rename_fix(folder, near), {"edits": near.edits}
    )


RULE = Rule(
    name=NAME,
    doc="A caption without a picture beside a picture without a caption, whose names differ in "
    "one or two letters, in case, or in the ending: imag123.txt and image123.png. Numbers are not "
    "typing errors: image12.txt is not offered for image21.png.",
    check=_check,
    levels=(ERROR, WARNING),
    fixes="renames the caption; safe where nothing else is as likely",
)
