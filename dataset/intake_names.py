"""Which files of an upload belong to a dataset, and why the others are left out."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

from ..core.errors import DatasetError
from .scan import CAPTION_EXTENSIONS, PICTURE_EXTENSIONS

PICTURES = PICTURE_EXTENSIONS | {".avif"}
TEXTS = frozenset({*CAPTION_EXTENSIONS, ".csv", ".jsonl", ".json", ".toml"})
"""Captions, and what metadata and dataset configurations are written in."""
TAKEN = PICTURES | TEXTS
"""Endings of the files that are taken: masks are pictures, too."""
_ARCHIVES = {".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".cbz", ".zst"}
_SYSTEM_FILES = {"thumbs.db", "desktop.ini", "__macosx"}


def why_left_out(relative: str) -> str | None:
    """Why a file does not belong to a dataset; None when it does.

    Args:
        relative: its path below the dataset's folder, with forward slashes.
    """
    parts = [part.casefold() for part in relative.split("/")]
    if any(part.startswith(".") or part in _SYSTEM_FILES for part in parts):
        return "hidden, or the operating system's own"
    if not all(parts):
        return "without a plain name"
    suffix = PurePosixPath(relative).suffix.lower()
    if suffix in _ARCHIVES:
        return "an archive: unpack it, or upload it by itself"
    return None if suffix in TAKEN else "not a picture, mask, caption or metadata file"


class Twins:
    """Names that some disks take for one: ``a.PNG`` and ``a.png``, composed and decomposed é."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def require_new(self, relative: str) -> None:
        """Remember a name.

        Raises:
            DatasetError: another spelling of it was there before; both are named.
        """
        first = self._seen.setdefault(unicodedata.normalize("NFC", relative).casefold(), relative)
        if first != relative:
            raise DatasetError(
                f"{relative} and {first} are one name to many disks",
                expected="names that differ by more than capital letters or accents",
                remedy="Rename one of them and upload again",
            )
