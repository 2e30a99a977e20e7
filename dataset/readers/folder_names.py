"""What the names of folders say: subject, repeats, role.

``10_ohwx woman`` is kohya's: ten repeats, and the words ``ohwx woman``. A folder named ``reg`` or
``regularisation`` holds regularisation pictures, one named ``validation``, ``valid`` or ``val``
held-out ones. ``train``, ``test``, ``dev`` and ``eval`` are everyday words: they are splits only
where ``train`` stands beside one for validation or regularisation, as in Hugging Face's layout.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...core.errors import shorten
from ..fault_book import FaultBook
from ..items import REGULARISATION, TRAIN, VALIDATION
from ..walk import Listing, name_of, parent_of
from .reader import Reader, ReadOptions, Said

_KOHYA = re.compile(r"([0-9]+)_(.*)", re.DOTALL)
MOST_REPEATS = 999
"""A larger number is a year or an id: ``1910_plates`` is a name."""
_REGULARISATION = {"reg", "regularisation", "regularization", "reg_data", "reg_images"}
_VALIDATION = {"validation", "valid", "val"}
_TRAIN = {"train", "training"}
_ONLY_BESIDE_TRAIN = {"test", "testing", "dev", "eval", "evaluation"}


@dataclass(frozen=True)
class KohyaName:
    """What kohya's folder name says.

    Attributes:
        repeats: how often its pictures are shown.
        words: its class and trigger, such as ``ohwx woman``; may be empty.
    """

    repeats: int
    words: str


def kohya_name(folder: str) -> KohyaName | None:
    """The parts of ``N_words``; None for another name, and for a number that is no repeats."""
    match = _KOHYA.fullmatch(folder)
    if match is None or len(match[1]) > len(str(MOST_REPEATS)):
        return None
    repeats = int(match[1])
    return KohyaName(repeats, match[2].strip()) if 1 <= repeats <= MOST_REPEATS else None


@dataclass(frozen=True)
class _Folder:
    """What a folder and all above it say."""

    role: str | None = None
    kohya: KohyaName | None = None
    subject: str | None = None


class _FolderNames:
    def __init__(self, listing: Listing, options: ReadOptions, faults: FaultBook) -> None:
        del faults
        self._listing, self._options = listing, options
        self._known: dict[str, _Folder] = {"": _Folder(kohya=self._kohya(listing.root.name))}
        self._unclear: list[str] = []

    def of(self, picture: str) -> Said | None:
        folder = self._folder(parent_of(picture)) if self._options.folder_names else _Folder()
        kohya = folder.kohya
        words = self._options.class_words or (kohya.words if kohya is not None else "")
        return Said(
            caption=(words or None) if self._options.class_as_caption else None,
            subject=words or folder.subject,
            role=folder.role,
            repeats=float(kohya.repeats) if kohya is not None else None,
            columns={"class": words} if words else {},
        )

    def _folder(self, folder: str) -> _Folder:
        if folder not in self._known:
            above, name = self._folder(parent_of(folder)), name_of(folder)
            role, kohya = self._role(folder), self._kohya(name)
            if kohya is None and role is None and _KOHYA.fullmatch(name):
                self._unclear.append(folder)
            self._known[folder] = _Folder(
                role=role or above.role,
                kohya=kohya or above.kohya,
                subject=above.subject or (None if role or kohya else name),
            )
        return self._known[folder]

    def _kohya(self, name: str) -> KohyaName | None:
        return kohya_name(name) if self._options.folder_names else None

    def _role(self, folder: str) -> str | None:
        name = name_of(folder).casefold()
        if name in _REGULARISATION:
            return REGULARISATION
        if name in _VALIDATION:
            return VALIDATION
        beside = self._listing.siblings[parent_of(folder)]
        if name in _TRAIN and beside & (_REGULARISATION | _VALIDATION | _ONLY_BESIDE_TRAIN):
            return TRAIN
        return VALIDATION if name in _ONLY_BESIDE_TRAIN and beside & _TRAIN else None

    def notes(self) -> list[str]:
        repeated = [
            f"{folder or self._listing.root.name} ({seen.kohya.repeats})"
            for folder, seen in self._known.items()
            if seen.kohya is not None and seen.kohya.repeats > 1 and self._is_its_own(folder)
        ]
        notes = []
        if repeated:
            notes.append(f"Repeats as the folders' names say: {shorten(repeated)}.")
        if self._unclear:
            notes.append(
                f"The number in front is taken for a name and not for repeats, which go from 1 to "
                f"{MOST_REPEATS}: {shorten(self._unclear)}. A folder named rejected is left out."
            )
        return notes

    def _is_its_own(self, folder: str) -> bool:
        return self._kohya(name_of(folder) if folder else self._listing.root.name) is not None


READER = Reader(
    name="folder names", order=90, title="the folder's name", open=_FolderNames, fallback=True,
    beside_given=True,
)
