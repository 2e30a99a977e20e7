"""Which files of a folder are masks, and of which picture.

Two conventions are read: OneTrainer's ``a-masklabel.png`` beside ``a.jpg``, and kohya's second
folder, here one named ``mask`` or ``masks`` with a file of the same stem.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ..core.errors import ConfigError, DatasetError, shorten
from .decode import PictureFacts
from .items import PictureAlpha, PictureFile, PictureSource
from .masks import require_mask

OFF, FILES, ALPHA = "off", "files", "alpha"
MODES = (OFF, FILES, ALPHA)
_ENDING = "-masklabel"
_FOLDERS = ("mask", "masks")


def is_mask_folder(name: str) -> bool:
    """Whether a folder of this name holds masks."""
    return name.casefold() in _FOLDERS


def masked_stem(relative: str) -> str | None:
    """The picture that a mask file is for: its path below the folder without ending, in NFC.

    ``woman/mask/a.png``, ``mask/woman/a.png`` and ``woman/a-masklabel.png`` are all for
    ``woman/a``. None: the file is no mask.
    """
    if "mask" not in relative.casefold():
        return None  # Nearly all files, and paths take long to take apart.
    *folders, name = PurePosixPath(relative).with_suffix("").parts
    kept = [folder for folder in folders if not is_mask_folder(folder)]
    labelled = name.casefold().endswith(_ENDING)
    if len(kept) == len(folders) and not labelled:
        return None
    return _normal("/".join([*kept, name[: -len(_ENDING)] if labelled else name]))


def stem_of(relative: str) -> str:
    """A picture's path below its folder without ending, in NFC: what its mask is looked up by."""
    return _normal(PurePosixPath(relative).with_suffix("").as_posix())


class MaskFiles:
    """The masks of one folder, handed out picture by picture.

    Args:
        root: the folder.
        files: paths of its mask files below it.
        mode: one of :data:`MODES`.

    Raises:
        ConfigError: there is no such mode.
    """

    def __init__(self, root: Path, files: Sequence[str], mode: str) -> None:
        if mode not in MODES:
            raise ConfigError(
                f"masks is {mode!r}", expected=", ".join(MODES), remedy="Choose one of these"
            )
        self._root, self._files, self._mode = root, files, mode
        self._by_stem: dict[str, list[str]] = {}
        for relative in files:
            self._by_stem.setdefault(masked_stem(relative) or "", []).append(relative)
        self._used: set[str] = set()
        self._without: list[str] = []
        self._count = 0

    def of(self, picture: PictureFile, relative: str, facts: PictureFacts) -> PictureSource | None:
        """The mask of a picture, checked against its size; None where it has none.

        Raises:
            DatasetError: there are two, or it does not fit; both files are named.
        """
        if self._mode == OFF:
            return None
        self._count += 1
        mask = self._alpha(picture, facts) if self._mode == ALPHA else self._file(relative)
        if mask is None:
            self._without.append(relative)
        else:
            require_mask(mask, relative, facts)
        return mask

    def file_of(self, relative: str) -> str | None:
        """The mask file that would be used for a picture, by its path below the folder."""
        if self._mode != FILES:
            return None
        stem = stem_of(relative)
        return next(iter(self._by_stem.get(stem, [])[-1:]), None)

    def _alpha(self, picture: PictureFile, facts: PictureFacts) -> PictureSource | None:
        return PictureAlpha(picture) if facts.see_through else None

    def _file(self, relative: str) -> PictureSource | None:
        stem = stem_of(relative)
        files = self._by_stem.get(stem, [])
        if len(files) > 1:
            raise DatasetError(
                f"{relative} has {len(files)} masks: {shorten(files)}",
                expected="one",
                remedy="Remove the one that is out of date",
            )
        self._used.update(files)
        return PictureFile(self._root / files[0], files[0]) if files else None

    def notes(self) -> list[str]:
        """What the person should know, after every picture was asked for.

        Raises:
            DatasetError: masks were asked for, and not one picture has one.
        """
        if self._mode != OFF and len(self._without) == self._count:
            raise self._none_at_all()
        without, spare = self._without, [f for f in self._files if f not in self._used]
        why = "have no picture" if self._mode == FILES else f"are not used: masks is {self._mode}"
        whole = f"{len(without)} of {self._count} pictures have no mask and are trained on whole"
        return [*_note(whole, without), *_note(f"{len(spare)} mask files {why}", spare)]

    def _none_at_all(self) -> DatasetError:
        if self._mode == ALPHA:
            return DatasetError(
                f"masks is {ALPHA}, but none of the {self._count} pictures has a transparent part",
                expected="pictures whose background is transparent",
                remedy=f"Set masks to {OFF}, or to {FILES} if masks stand beside the pictures",
            )
        return DatasetError(
            f"masks is {FILES}, but none of the {self._count} pictures has a mask"
            + (f"; there are {shorten(list(self._files))}" if self._files else ""),
            expected="a-masklabel.png beside a.png, or a picture of the same name in a folder "
            "mask or masks",
            remedy=f"Correct the names, or set masks to {OFF}",
        )


def _note(text: str, names: Sequence[str]) -> list[str]:
    return [f"{text}: {shorten(list(names))}."] if names else []


def _normal(text: str) -> str:
    """macOS writes accents decomposed; other programs compose them."""
    return unicodedata.normalize("NFC", text)
