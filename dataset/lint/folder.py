"""The files of a folder, sorted by what they are and by whom they belong to."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import PurePosixPath

from ..changes import Change, MoveFile
from ..items import Dataset, DatasetItem, Origin
from ..mask_files import masked_stem
from ..metadata import METADATA_FILES
from ..own_files import contained_file
from ..scan import PICTURE_EXTENSIONS, REJECTED_FOLDER

UNREAD_PICTURES = frozenset(
    {".avif", ".gif", ".heic", ".heif", ".jxl", ".psd", ".svg", ".jp2", ".exr", ".tga", ".ico",
     ".dng", ".cr2", ".nef", ".arw"}
) - PICTURE_EXTENSIONS  # fmt: skip
"""Endings of pictures, and of photographs as cameras store them, that no scan reads."""


def stem_of(relative: str) -> str:
    """A path without its ending: ``woman/a.png`` is ``woman/a``."""
    return PurePosixPath(relative).with_suffix("").as_posix()


def ending_of(relative: str) -> str:
    """The ending in lower case: ``.png``."""
    return PurePosixPath(relative).suffix.lower()


def parent_of(relative: str) -> str:
    """The folder of a path, ``.`` at the top."""
    return PurePosixPath(relative).parent.as_posix()


def same_to_a_person(name: str) -> str:
    """What is left of a name when case and the spelling of accents are not told apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class Folder:
    """The files of one origin.

    Args:
        origin: the folder as it was scanned.
        items: the pictures of the dataset that are from it.
    """

    def __init__(self, origin: Origin, items: Iterable[DatasetItem]) -> None:
        self.origin = origin
        self.files = frozenset(origin.files)
        """Every file, to be asked for by name."""
        self.items = {item.file: item for item in items}
        """The dataset's pictures by file."""
        self.pictures: list[str] = []
        self.captions: list[str] = []
        """Text files with an ending that captions have, in lower case or not."""
        self.unread: list[str] = []
        """Pictures of a kind that is not read."""
        self._by_stem: dict[str, list[str]] = {}
        self._masks: dict[str, list[str]] = {}
        self._endings = {ending.lower() for ending in origin.caption_extensions}
        for file in origin.files:
            self._sort(file)

    def _sort(self, file: str) -> None:
        ending = ending_of(file)
        if ending in PICTURE_EXTENSIONS:
            masked = masked_stem(file)
            if masked is not None:
                self._masks.setdefault(masked, []).append(file)
                return
            self.pictures.append(file)
        elif ending in self._endings:
            self.captions.append(file)
        elif ending in UNREAD_PICTURES:
            self.unread.append(file)
        self._by_stem.setdefault(stem_of(file), []).append(file)

    def of_stem(self, stem: str) -> Sequence[str]:
        """Files of exactly this path without ending; masks are not among them."""
        return self._by_stem.get(stem, ())

    def pictures_of_stem(self, stem: str) -> list[str]:
        """Those among them that are pictures, read or not."""
        kinds = PICTURE_EXTENSIONS | UNREAD_PICTURES
        return [file for file in self.of_stem(stem) if ending_of(file) in kinds]

    def companions(self, picture: str) -> list[str]:
        """The files that go where a picture goes: captions, masks and whatever has its name.

        None of them when another picture has the same name, since they are that one's as well.
        """
        stem = stem_of(picture)
        if len(self.pictures_of_stem(stem)) > 1:
            return []
        beside = [file for file in self.of_stem(stem) if file != picture]
        return beside + self._masks.get(unicodedata.normalize("NFC", stem), [])

    def shared(self, picture: str) -> list[str]:
        """The files that a picture shares with others of the same name."""
        stem = stem_of(picture)
        pictures = set(self.pictures_of_stem(stem))
        beside = [file for file in self.of_stem(stem) if file not in pictures]
        return beside + self._masks.get(unicodedata.normalize("NFC", stem), [])

    @cached_property
    def read_captions(self) -> frozenset[str]:
        """The files from which captions were read, as no disk mistakes them."""
        files = (item.caption_file for item in self.items.values())
        return frozenset(same_to_a_person(file) for file in files if file is not None)

    def is_caption(self, file: str) -> bool:
        """Whether a file has an ending that captions have."""
        return ending_of(file) in self._endings

    def sidecar(self, item: DatasetItem) -> str | None:
        """The caption file that is this picture's alone; None for one in a table."""
        file = item.caption_file
        if file is None or stem_of(file) != stem_of(item.file):
            return None
        return file if ending_of(file) in map(str.lower, self.origin.caption_extensions) else None

    def is_free(self, relative: str) -> bool:
        """Whether no file has this name, also to a disk that does not tell cases apart."""
        return not os.path.lexists(contained_file(self.origin.root, relative))

    def free_stem(self, stem: str) -> str:
        """The stem, or the first of ``stem_2``, ``stem_3`` … that no file of the folder has."""
        number, wanted = 1, stem
        while same_to_a_person(wanted) in self._stems:
            number += 1
            wanted = f"{stem}_{number}"
        return wanted

    @cached_property
    def _stems(self) -> frozenset[str]:
        """Asked for every clashing name of a folder, and there may be as many as pictures."""
        return frozenset(map(same_to_a_person, self._by_stem))

    def loses_by_rename(self, picture: str) -> bool:
        """Whether something names a picture that would not find it under another name: a table,
        or a caption file that is not called like it. Its caption, role and weight would be lost.
        """
        item = self.items.get(picture)
        file = item.caption_file if item is not None else None
        if file is not None and stem_of(file) != stem_of(picture):
            return True
        places = PurePosixPath(picture).parents
        return any((p / name).as_posix() in self.files for p in places for name in METADATA_FILES)

    def rejected(self, files: Iterable[str]) -> tuple[Change, ...]:
        """Moves files to the folder that no scan looks into, under their own paths."""
        return tuple(MoveFile(file, self._free_among_rejected(file)) for file in files)

    def _free_among_rejected(self, file: str) -> str:
        path = PurePosixPath(REJECTED_FOLDER) / file
        wanted, number = path, 1
        while not self.is_free(wanted.as_posix()):
            number += 1
            wanted = path.with_name(f"{path.stem}_{number}{path.suffix}")
        return wanted.as_posix()


def folders_of(dataset: Dataset) -> tuple[Folder, ...]:
    """The folders of a dataset, with the pictures that are from each."""
    by_root: dict[str, list[DatasetItem]] = {}
    for item in dataset.items:
        if item.origin is not None:
            by_root.setdefault(str(item.origin.root), []).append(item)
    # A folder may have been read twice, for two roles: its files are looked at once.
    origins = {str(origin.root): origin for origin in reversed(dataset.origins)}
    return tuple(
        Folder(origin, by_root.get(root, ())) for root, origin in reversed(origins.items())
    )
