"""Mends captions: only those that stand in a text file of their own.

Several rules may find something in one caption. Each mends its own fault in the caption as it was
found: of two fixes of one file, the second is made again after the first was applied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from ..changes import WriteFile
from ..items import DatasetItem, Origin
from .finding import Fix


def own_caption_file(item: DatasetItem) -> str | None:
    """The text file that holds this caption and no other; None where there is none.

    A caption from ``metadata.csv`` or from JSON shares its file, and is not rewritten.
    """
    if item.origin is None or item.caption_file is None:
        return None
    picture = PurePosixPath(item.file)
    own = {picture.with_suffix(ending).as_posix() for ending in item.origin.caption_extensions}
    return item.caption_file if item.caption_file in own else None


def caption_fixes(
    new: Sequence[tuple[DatasetItem, str]], text: str, *, safe: bool = True
) -> list[Fix]:
    """One fix for each folder, writing these captions.

    Args:
        new: pictures with what their captions become.
        text: what is done, such as ``remove repeated tags``.
        safe: see :class:`Fix`.
    """
    files: dict[int, tuple[Origin, dict[str, bytes]]] = {}
    for item, caption in new:
        name = own_caption_file(item)
        if name is not None and item.origin is not None and caption != item.caption:
            _, changes = files.setdefault(id(item.origin), (item.origin, {}))
            changes[name] = caption.encode("utf-8")
    return [
        Fix(origin, tuple(WriteFile(name, data) for name, data in changes.items()),
            _told(text, changes), safe)
        for origin, changes in files.values()
    ]


def caption_fix(item: DatasetItem, caption: str, text: str, *, safe: bool = True) -> Fix | None:
    """The fix of a single caption; None where its file is not its own."""
    return next(iter(caption_fixes([(item, caption)], text, safe=safe)), None)


def where(item: DatasetItem) -> str:
    """A sentence for captions that only a person can mend; empty for others."""
    if own_caption_file(item) is not None or item.caption_file is None:
        return ""
    return f" It stands in {item.caption_file}: change it there, or save captions beside pictures."


def _told(text: str, changes: Mapping[str, bytes]) -> str:
    names = list(changes)
    return f"{text} in {names[0]}" if len(names) == 1 else f"{text} in {len(names)} caption files"
