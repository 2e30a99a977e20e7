"""What ComfyUI's LoRA loader learnt when: files that an older one passes over."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from .finding import ERROR, Finding

Version = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Since:
    """Something that the loader reads since a version.

    Attributes:
        version: the first that reads it.
        keys: regular expression of the keys it is about.
        what: what people call it.
        or_convert: a converted file needs no such loader.
    """

    version: Version
    keys: str
    what: str
    or_convert: bool = False


READ_SINCE = (
    # Commit ae77590b of 25 March 2024, before ComfyUI had version numbers.
    Since(version=(0, 0, 1), keys=r"\.dora_scale$", what="DoRA"),
    # Pull requests 7725 and 7909; in 0.3.30 they were there, but wrong.
    Since(version=(0, 3, 31), keys=r"\.oft_blocks$", what="OFT and BOFT"),
)
"""For every model family; what is about one of them stands in its ``Family.read_since``."""


def as_version(text: str) -> Version | None:
    """``0.3.76`` or ``v0.3.76-4-g12ab`` as numbers; None if it is no version."""
    match = re.match(r"v?(\d+(?:\.\d+)+)", text.strip())
    return tuple(int(part) for part in match[1].split(".")) if match else None


def too_old(keys: Collection[str], learnt: Collection[Since], version: str) -> Finding | None:
    """What a loader of this version does not read yet.

    Args:
        keys: of the file, those that today's loader reads.
        learnt: what the loader learnt to read of files for its model family.
        version: ComfyUI's.
    """
    has = as_version(version)
    missing = [
        item for item in (*READ_SINCE, *learnt)
        if has is not None and has < item.version
        and any(re.search(item.keys, key) for key in keys)
    ]
    if not missing:
        return None
    last = max(missing, key=lambda item: item.version)
    needed = ".".join(str(part) for part in last.version)
    convert = ", or convert the file" if all(item.or_convert for item in missing) else ""
    return Finding(
        "old-comfyui", ERROR,
        f"ComfyUI {version} is too old for this LoRA and passes over it, or over parts of it: it "
        f"reads {last.what} only since version {needed}",
        f"Update ComfyUI to {needed} or later{convert}",
    )
