"""From a folder to a dataset: pictures in a fixed order, with what is written about them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..core.errors import DatasetError, shorten
from ..core.protocols import Progress
from .colour import parse_colour
from .decode import inspect
from .facts import PictureFacts
from .fault_book import FaultBook, refuse_faults
from .index import PictureIndex, look_at_all
from .items import TRAIN, Dataset, DatasetItem, Origin, PictureFile, PictureSource
from .mask_files import OFF, MaskFiles
from .readers.reader import DEFAULT_ENDINGS, Reader, Reading, ReadOptions, Said, readers_for
from .walk import (
    PICTURE_EXTENSIONS,
    REJECTED_FOLDER,
    Listing,
    ending_of,
    list_folder,
    natural_key,
    shown_name,
)

__all__ = ["PICTURE_EXTENSIONS", "REJECTED_FOLDER", "listed_files", "natural_key", "scan_folder"]
CAPTION_EXTENSIONS = DEFAULT_ENDINGS
_OTHER_PICTURES = {".avif", ".heic", ".heif", ".jxl", ".psd", ".svg", ".jp2", ".exr"}
_OTHER_PICTURES -= PICTURE_EXTENSIONS
_EXTENSION = re.compile(r"\.[A-Za-z0-9][A-Za-z0-9_.-]{0,15}")

@dataclass(frozen=True, kw_only=True)
class ScanOptions:
    """How a folder is read.

    Attributes:
        recursive: whether sub-folders are read too.
        background: colour behind transparent parts.
        masks: where masks come from: one of :data:`.mask_files.MODES`.
        read: how captions and the rest are read.
        lenient: leave files that cannot be used out, as faults, instead of stopping.
        index: what is known of pictures already; None decodes every one.
        progress: told after every picture; its interrupt is passed on.
    """

    recursive: bool = True
    background: str = "white"
    masks: str = OFF
    read: ReadOptions = field(default_factory=ReadOptions)
    lenient: bool = False
    index: PictureIndex | None = None
    progress: Progress | None = None


def scan_folder(
    path: Path,
    *,
    name: str,
    caption_extension: str = ".txt",
    recursive: bool = True,
    background: str = "white",
    masks: str = OFF,
    progress: Progress | None = None,
    lenient: bool = False,
    index: PictureIndex | None = None,
) -> Dataset:
    """Read a folder of pictures as most people keep them; see :func:`scan`."""
    options = ScanOptions(
        recursive=recursive,
        background=background,
        masks=masks,
        read=ReadOptions(endings=caption_endings(caption_extension)),
        lenient=lenient,
        index=index,
        progress=progress,
    )
    return scan(path, name, options)


def scan(path: Path, name: str, options: ScanOptions) -> Dataset:
    """Read a folder of pictures and what is written about them.

    Captions, subjects, roles and repeats come from the formats in ``readers``, which are asked in
    their order. Hidden files and folders named ``rejected`` are left out. Mask files
    (:func:`.mask_files.masked_stem`) are never taken for pictures, used or not.

    A picture that cannot be used is left out; a caption, mask or table that cannot be used leaves
    its picture in without it. Either is a fault of the dataset if ``options.lenient``, and an
    error that names all of them if not.

    Args:
        path: the folder.
        name: what the dataset is called.
        options: how.

    Raises:
        ConfigError: there is no such colour or mode.
        DatasetError: there are no pictures; files cannot be used; or masks were asked for and
            there is none.
    """
    parse_colour(options.background)
    listing = list_folder(path, recursive=options.recursive)
    mask_files = MaskFiles(path, listing.masks, options.masks)
    if not listing.pictures and not any(map(_is_picture, listing.garbled)):
        raise _no_pictures(path, listing)
    origin = Origin(path, name, listing.files, options.read.endings)
    return _Scan(origin, listing, options, mask_files).run()


def listed_files(path: Path, *, recursive: bool = True) -> list[Path]:
    """Every file that a scan would look at, in natural order; to see whether any has changed.

    Raises:
        DatasetError: the folder cannot be read.
    """
    listing = list_folder(path, recursive=recursive)
    return [path / relative for relative in (*listing.files, *listing.garbled)]


def caption_endings(first: str) -> tuple[str, ...]:
    """The endings of caption files in the order in which they are looked for.

    Raises:
        DatasetError: the first is not an ending of text files.
    """
    word = first.strip()
    word = word if word.startswith(".") else f".{word}"
    if not _EXTENSION.fullmatch(word) or word.lower() in PICTURE_EXTENSIONS:
        raise DatasetError(
            f"The caption extension is {first!r}",
            expected="the ending of text files, such as .txt or .caption",
            remedy="Write .txt",
        )
    return (word, *(extension for extension in CAPTION_EXTENSIONS if extension != word))


class _Scan:
    """One pass over a folder."""

    def __init__(
        self, origin: Origin, listing: Listing, options: ScanOptions, masks: MaskFiles
    ) -> None:
        self._origin, self._listing, self._options, self._masks = origin, listing, options, masks
        self._faults = FaultBook(origin)
        self._readings: list[tuple[Reader, Reading]] = [
            (reader, reader.open(listing, options.read, self._faults))
            for reader in readers_for(options.read)
        ]
        self._by_note: dict[str, list[str]] = {}
        self._passed_over: dict[str, list[str]] = {}

    def run(self) -> Dataset:
        for file in filter(_is_picture, self._listing.garbled):
            self._faults.add(shown_name(file), _garbled(shown_name(file)))
        items = list(self._items())
        faults = self._faults.faults
        if not self._options.lenient:
            refuse_faults(faults, self._origin.name)
        notes = [*self._notes(items), *(self._masks.notes() if items else ())]
        for _, reading in self._readings:
            notes += reading.notes()
        return Dataset(
            tuple(items),
            self._origin.name,
            self._options.background,
            tuple(notes),
            origins=(self._origin,),
            faults=faults,
        )

    def _items(self) -> Iterator[DatasetItem]:
        root, names, progress = self._origin.root, self._listing.pictures, self._options.progress
        pictures = [PictureFile(root / relative, relative) for relative in names]
        looked_at = look_at_all(pictures, index=self._options.index, progress=progress)
        with closing(looked_at):
            for number, (name, picture) in enumerate(zip(names, looked_at, strict=True), start=1):
                if progress is not None:
                    progress.check_cancelled()
                if isinstance(picture, DatasetError):
                    self._faults.add(name, picture)
                else:
                    # What was there a moment ago may be gone.
                    facts = self._faults.attempt(name, partial(inspect, picture))
                    if facts is not None:
                        yield self._item(picture, facts)
                if progress is not None:
                    progress.update(number, len(names))

    def _item(self, picture: PictureFile, facts: PictureFacts) -> DatasetItem:
        relative = picture.name
        for note in facts.notes:
            self._by_note.setdefault(note, []).append(relative)
        known = self._known(relative)
        return DatasetItem(
            name=relative,
            source=picture,
            caption=known.caption,
            subject=known.subject,
            role=known.role or TRAIN,
            weight=1.0 if known.weight is None else known.weight,
            columns=known.columns,
            mask=self._mask(picture, facts),
            repeats=1.0 if known.repeats is None else known.repeats,
            origin=self._origin,
            file=relative,
            caption_file=known.caption_file if known.caption is not None else None,
        )

    def _known(self, relative: str) -> Said:
        """What all readers say about a picture, the first of those who know deciding."""
        said = [(reader, reading.of(relative)) for reader, reading in self._readings]
        heard = [(reader, one) for reader, one in said if one is not None]
        captions = [
            (reader, one) for reader, one in heard
            if one.caption is not None or one.caption_file is not None
        ]
        caption = captions[0][1] if captions else Said()
        for reader, _ in captions[1:]:
            if not reader.fallback:
                used = captions[0][0].title
                note = f"{used[0].upper()}{used[1:]} was used instead of {reader.title}"
                self._passed_over.setdefault(note, []).append(relative)
        columns: dict[str, str] = {}
        for _, one in reversed(heard):
            columns |= one.columns
        return Said(
            caption.caption,
            caption.caption_file,
            next((one.subject for _, one in heard if one.subject is not None), None),
            next((one.role for _, one in heard if one.role is not None), None),
            next((one.weight for _, one in heard if one.weight is not None), None),
            next((one.repeats for _, one in heard if one.repeats is not None), None),
            columns,
        )

    def _mask(self, picture: PictureFile, facts: PictureFacts) -> PictureSource | None:
        relative = picture.name
        return self._faults.attempt(
            self._masks.file_of(relative) or relative,
            lambda: self._masks.of(picture, relative, facts),
        )

    def _notes(self, items: list[DatasetItem]) -> list[str]:
        missing = [item.name for item in items if item.caption is None]
        empty = [item.name for item in items if item.caption == ""]
        odd = [name for name in self._listing.others if ending_of(name) in _OTHER_PICTURES]
        garbled = [shown_name(f) for f in self._listing.garbled if not _is_picture(f)]
        lists = {
            f"{len(missing)} of {len(items)} pictures have no caption": missing,
            f"{len(empty)} captions are empty": empty,
            f"{len(odd)} files of a kind that is not read were left out": odd,
            "Links to folders were not followed": list(self._listing.linked),
            f"{len(garbled)} files with a name that is no text were left out": garbled,
            **self._passed_over,
            **{f"{note} ({len(names)})": names for note, names in sorted(self._by_note.items())},
        }
        return [f"{text}: {shorten(names)}." for text, names in lists.items() if names]


def _is_picture(file: str) -> bool:
    return ending_of(file) in PICTURE_EXTENSIONS


def _garbled(shown: str) -> DatasetError:
    return DatasetError(
        f"The name of {shown} is no text",
        expected="file names in UTF-8",
        remedy="Rename it; names out of an archive come out right if it is unpacked with the "
        "encoding of the system that made it, for example unzip -O cp932 for Japanese Windows",
    )


def _no_pictures(path: Path, listing: Listing) -> DatasetError:
    masks = list(listing.masks)
    if masks:
        return DatasetError(
            f"There is no picture in {path}, but {len(masks)} masks: {shorten(masks)}",
            expected="the pictures that the masks belong to",
            remedy="Copy them there; or, if these are the pictures, rename the folder: one named "
            "mask or masks is for masks",
        )
    configs = [file for file in listing.others if file.endswith(".toml") and "/" not in file]
    if configs:
        return DatasetError(
            f"There is no picture in {path}, but {shorten(configs)}",
            expected="pictures, or a dataset config of kohya's that says where they are",
            remedy=f"Write {configs[0]} into kohya_config if it is one",
        )
    there = f"{len(listing.others)} other files" if listing.others else "nothing"
    return DatasetError(
        f"There is no picture in {path}, but {there}",
        expected=f"files ending in {', '.join(sorted(PICTURE_EXTENSIONS))}",
        remedy="Copy the pictures there, or choose another folder",
    )
