"""What stands in a folder: walked once, sorted, and found by name without asking the disk again."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..core.errors import DatasetError
from .decode import AVIF
from .mask_files import is_mask_folder, masked_stem

PICTURE_EXTENSIONS = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
    | ({".avif"} if AVIF else set())
)
REJECTED_FOLDER = "rejected"
"""Where a person (or the lint node) puts what shall not be trained on; never scanned."""
_DIGITS = re.compile(r"(\d+)")
_HALVES = re.compile("[\ud800-\udfff]")
"""What Python makes of bytes in a file's name that are no text."""


@dataclass(frozen=True)
class Listing:
    """The files of a folder, as POSIX paths below it.

    Attributes:
        root: the folder.
        files: every file that is not hidden and whose name is text, in natural order.
        linked: sub-folders that are links and were not followed.
        garbled: files whose names are bytes that spell no text, as an archive of another
            system's leaves them; no report and no manifest could hold them.
    """

    root: Path
    files: tuple[str, ...]
    linked: tuple[str, ...] = ()
    garbled: tuple[str, ...] = ()

    @property
    def pictures(self) -> tuple[str, ...]:
        """Files that are to be pictures, by their ending."""
        return self._kinds[0]

    @property
    def masks(self) -> tuple[str, ...]:
        """Files of a picture's ending that stand where masks do."""
        return self._kinds[1]

    @property
    def others(self) -> tuple[str, ...]:
        """All other files."""
        return self._kinds[2]

    @cached_property
    def folders(self) -> frozenset[str]:
        """Every folder with a file somewhere in it, the root as the empty text."""
        found: set[str] = set()
        for file in self.files:
            folder = parent_of(file)
            while folder not in found:
                found.add(folder)
                folder = parent_of(folder)
        return frozenset(found)

    @cached_property
    def siblings(self) -> dict[str, frozenset[str]]:
        """The names of the sub-folders of every folder, folded to small letters."""
        names: dict[str, set[str]] = {}
        for folder in self.folders - {""}:
            names.setdefault(parent_of(folder), set()).add(name_of(folder).casefold())
        return {folder: frozenset(inside) for folder, inside in names.items()}

    def find(self, relative: str) -> str | None:
        """The file of this path, however its accents and its ending's case are written.

        Windows and macOS take ``a.TXT`` for ``a.txt``; so do we everywhere, that a dataset is the
        same on every machine. Where both stand, the exact one is meant.
        """
        exact, loud = self._by_name
        wanted = normal(relative)
        if wanted in exact:
            return exact[wanted]
        small = _small_ending(wanted)
        return exact.get(small) or loud.get(small)

    @cached_property
    def endings(self) -> frozenset[str]:
        """Every ending that a file here has, in small letters."""
        return frozenset(map(ending_of, self.files))

    @cached_property
    def _by_name(self) -> tuple[dict[str, str], dict[str, str]]:
        """Files by name, and those with capitals in their ending by the name without."""
        exact: dict[str, str] = {}
        loud: dict[str, str] = {}
        for file in self.files:
            name = normal(file)
            exact.setdefault(name, file)
            if (small := _small_ending(name)) != name:
                loud.setdefault(small, file)
        return exact, loud

    @cached_property
    def _kinds(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Pictures, masks, and all others."""
        kinds: tuple[list[str], list[str], list[str]] = ([], [], [])
        for file in self.files:
            if ending_of(file) not in PICTURE_EXTENSIONS:
                kinds[2].append(file)
            else:
                kinds[0 if masked_stem(file) is None else 1].append(file)
        return tuple(kinds[0]), tuple(kinds[1]), tuple(kinds[2])


def list_folder(path: Path, *, recursive: bool = True) -> Listing:
    """Walk a folder.

    Hidden files, hidden folders and folders named ``rejected`` are left out. Links to folders are
    not followed, for they may lead round in a circle; they are told.

    Args:
        path: the folder.
        recursive: whether sub-folders are read; folders of masks are in any case.

    Raises:
        DatasetError: the folder is none, or it or one in it cannot be read.
    """
    if not path.is_dir():
        raise DatasetError(
            f"{path} is not a folder" if path.exists() else f"The folder {path} does not exist",
            expected="a folder with pictures",
            remedy="Check the name, or copy the pictures there",
        )
    linked: list[str] = []
    files, garbled = list[str](), list[str]()
    for file in sorted(_visible_files(path, recursive, linked), key=natural_key):
        (files if shown_name(file) == file else garbled).append(file)
    links = tuple(shown_name(link) for link in sorted(linked, key=natural_key))
    return Listing(path, tuple(files), links, tuple(garbled))


def shown_name(relative: str) -> str:
    """A path as it can be shown and written down, whatever bytes the disk has for a name."""
    return relative if relative.isascii() else _HALVES.sub("\ufffd", relative)


def natural_key(text: str) -> tuple[list[str | int], str]:
    """Sort key that puts ``2.png`` before ``10.png`` and does not depend on the system."""
    parts: list[str | int] = list(_DIGITS.split(text.casefold()))
    parts[1::2] = [int(digits) for digits in parts[1::2]]
    return parts, text


def normal(text: str) -> str:
    """macOS writes accents decomposed, and metadata files rarely do."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def parent_of(relative: str) -> str:
    """The folder of a POSIX path; empty at the top."""
    return relative.rpartition("/")[0]


def name_of(relative: str) -> str:
    """The last part of a POSIX path."""
    return relative.rpartition("/")[2]


def stem_of(relative: str) -> str:
    """A POSIX path without the ending of its file."""
    return relative[: len(relative) - len(_ending(relative))]


def ending_of(relative: str) -> str:
    """The ending in small letters, such as ``.png``; empty without one."""
    return _ending(relative).lower()


def _ending(relative: str) -> str:
    stem, _, ending = name_of(relative).rpartition(".")
    return f".{ending}" if stem and ending else ""


def _visible_files(root: Path, recursive: bool, linked: list[str]) -> Iterator[str]:
    """The one place where a dataset's folder is walked. No file is asked for its size."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        before = f"{folder}/" if folder else ""
        try:
            with os.scandir(os.path.join(root, folder) if folder else root) as entries:
                seen = list(entries)
        except OSError as error:
            raise _unreadable(error) from error
        for entry in seen:
            if entry.name.startswith("."):
                continue
            if not _is_folder(entry):
                yield before + entry.name
            elif _is_read(entry.name, recursive):
                (linked if entry.is_symlink() else waiting).append(before + entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link that leads to itself is a file that nobody can read.
        return False


def _is_read(folder: str, recursive: bool) -> bool:
    # Masks belong to the pictures beside their folder, and not to another subject.
    return folder.casefold() != REJECTED_FOLDER and (recursive or is_mask_folder(folder))


def _small_ending(relative: str) -> str:
    return stem_of(relative) + ending_of(relative)


def _unreadable(error: OSError) -> DatasetError:
    return DatasetError(
        f"The folder {error.filename} cannot be read: {error.strerror}",
        expected="a folder that ComfyUI may read",
        remedy="Check its permissions",
    )
