"""Pictures that a browser or a file manager renamed as copies, away from their captions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from ...changes import WriteFile
from ...own_files import contained_file, read_small
from ..caption_names import NearMiss, caption_names, original_of, rename_fix
from ..context import LintContext
from ..finding import ERROR, Finding, Fix
from ..folder import Folder, stem_of
from ..rule import Rule

NAME = "browser-copy"


def _check(context: LintContext) -> Iterator[Finding]:
    for folder in context.folders:
        for near in caption_names(folder).copies:
            yield _parted(folder, near)
        for file, item in folder.items.items():
            if item.caption is None:
                yield from _beside_original(folder, file)


def _parted(folder: Folder, near: NearMiss) -> Finding:
    many = len(near.pictures) > 1
    also = f", and so have {len(near.pictures) - 1} others" if many else ""
    return Finding(
        NAME, ERROR,
        f"{near.pictures[0]} has the name of a copy{also}, and so has lost its caption "
        f"{near.caption}.",
        tuple(folder.items[file].name for file in near.pictures), (near.caption,),
        rename_fix(folder, near),
    )


def _beside_original(folder: Folder, file: str) -> Iterator[Finding]:
    """A copy beside its original: the caption there may be for either, or for both."""
    original = original_of(file)
    if original is None:
        return
    captions = [
        other for other in folder.of_stem(original)
        if PurePosixPath(other).suffix in folder.origin.caption_extensions
    ]
    pictures = folder.pictures_of_stem(original)
    if not captions or not pictures:
        return
    target = stem_of(file) + PurePosixPath(captions[0]).suffix
    yield Finding(
        NAME, ERROR,
        f"{file} has no caption. Its name is that of a copy of {pictures[0]}, whose caption "
        f"{captions[0]} may have been written for either.",
        (folder.items[file].name,), (captions[0],), _copy_fix(folder, captions[0], target),
    )


def _copy_fix(folder: Folder, caption: str, target: str) -> Fix | None:
    if target in folder.files:
        return None
    data = read_small(contained_file(folder.origin.root, caption), caption)
    text = f"copy {caption} to {target}; read both captions afterwards"
    return Fix(folder.origin, (WriteFile(target, data),), text, safe=False)


RULE = Rule(
    name=NAME,
    doc="A picture whose name says that it is a copy, and that is parted from its caption by it: "
    "123 (1).png and 123.txt. Browsers and ComfyUI's own upload rename files that way when "
    "another of the name is there.",
    check=_check,
    levels=(ERROR,),
    fixes="renames the caption; where the original is there too, offers to copy its caption",
)
