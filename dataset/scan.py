"""From a folder to a dataset: pictures in a fixed order, with the captions beside them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..core.errors import DatasetError, shorten
from ..core.protocols import Progress
from .colour import parse_colour
from .decode import AVIF, inspect
from .items import Dataset, DatasetItem, Origin, PictureFile
from .mask_files import OFF, MaskFiles, is_mask_folder, masked_stem
from .metadata import Metadata, MetadataRow, read_metadata
from .text import read_text

PICTURE_EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"} | ({".avif"} if AVIF else set())
)
CAPTION_EXTENSIONS = (".txt", ".caption")
REJECTED_FOLDER = "rejected"
"""Where a person (or the lint node) puts what shall not be trained on; never scanned."""
_OTHER_PICTURES = {".avif", ".gif", ".heic", ".heif", ".jxl", ".psd", ".svg", ".jp2", ".exr"}
_OTHER_PICTURES -= PICTURE_EXTENSIONS
_EXTENSION = re.compile(r"\.[A-Za-z0-9][A-Za-z0-9_.-]{0,15}")
_DIGITS = re.compile(r"(\d+)")


@dataclass
class _Files:
    """What stands in a folder: POSIX paths below it, in natural order."""

    all: tuple[str, ...] = ()
    pictures: list[str] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


@dataclass
class _Findings:
    """What is counted while scanning, to be told in one sentence each."""

    by_note: dict[str, list[str]] = field(default_factory=dict)
    sidecars: Counter[str] = field(default_factory=Counter)
    both: list[str] = field(default_factory=list)

    def add(self, note: str, name: str) -> None:
        self.by_note.setdefault(note, []).append(name)


def scan_folder(
    path: Path,
    *,
    name: str,
    caption_extension: str = ".txt",
    recursive: bool = True,
    background: str = "white",
    masks: str = OFF,
    progress: Progress | None = None,
) -> Dataset:
    """Read a folder of pictures and captions.

    A caption is the text file beside a picture with the same name and the chosen extension, else
    ``.txt``, else ``.caption``, else the ``caption`` or ``text`` column of ``metadata.csv`` or
    ``metadata.jsonl``. The first folder level below ``path`` is the subject, unless metadata has
    one. Hidden files and folders named ``rejected`` are left out. Mask files
    (:func:`.mask_files.masked_stem`) are never taken for pictures, used or not.

    Args:
        path: the folder.
        name: what the dataset is called.
        caption_extension: of the caption files that are looked for first.
        recursive: whether sub-folders are read too.
        background: colour behind transparent parts.
        masks: where masks come from: one of :data:`.mask_files.MODES`.
        progress: told after every picture; its interrupt is passed on.

    Raises:
        ConfigError: there is no such colour or mode.
        DatasetError: there are no pictures, or one of them, a mask, a caption or the metadata is
            damaged; or masks were asked for and there is none.
    """
    parse_colour(background)
    extensions = _caption_extensions(caption_extension)
    files = _find_files(path, recursive)
    pictures, others = files.pictures, files.others
    mask_files = MaskFiles(path, files.masks, masks)
    if not pictures:
        raise _no_pictures(path, files)
    metadata = read_metadata(path)
    found = _Findings()
    origin = Origin(path, name, files.all, extensions)
    items = []
    for number, relative in enumerate(pictures):
        if progress is not None:
            progress.check_cancelled()
        items.append(_read_item(origin, relative, metadata, mask_files, found))
        if progress is not None:
            progress.update(number + 1, len(pictures))
    notes = [*_notes(items, found, others), *mask_files.notes()]
    orphans = sorted(set(metadata.rows) - {_normal(relative) for relative in pictures})
    if orphans:
        notes.append(f"{metadata.file} names pictures that are not here: {shorten(orphans)}.")
    return Dataset(tuple(items), name, background, tuple(notes), origins=(origin,))


def listed_files(path: Path, *, recursive: bool = True) -> list[Path]:
    """Every file that a scan would look at, in natural order; to see whether any has changed.

    Raises:
        DatasetError: the folder cannot be read.
    """
    return [path / relative for relative in _walk(path, recursive)]


def natural_key(text: str) -> tuple[list[str | int], str]:
    """Sort key that puts ``2.png`` before ``10.png`` and does not depend on the system."""
    parts: list[str | int] = list(_DIGITS.split(text.casefold()))
    parts[1::2] = [int(digits) for digits in parts[1::2]]
    return parts, text


def _find_files(path: Path, recursive: bool) -> _Files:
    files = _Files(tuple(_walk(path, recursive)))
    for relative in files.all:
        if PurePosixPath(relative).suffix.lower() not in PICTURE_EXTENSIONS:
            files.others.append(relative)
        else:
            (files.pictures if masked_stem(relative) is None else files.masks).append(relative)
    return files


def _walk(path: Path, recursive: bool) -> list[str]:
    if not path.is_dir():
        raise DatasetError(
            f"{path} is not a folder" if path.exists() else f"The folder {path} does not exist",
            expected="a folder with pictures",
            remedy="Check the name, or copy the pictures there",
        )
    return sorted(_visible_files(path, recursive), key=natural_key)


def _visible_files(path: Path, recursive: bool) -> Iterator[str]:
    for folder, subfolders, files in os.walk(path, onerror=_raise_unreadable):
        keep = [n for n in subfolders if n[0] != "." and n.casefold() != REJECTED_FOLDER]
        # Masks belong to the pictures beside their folder, and not to another subject.
        subfolders[:] = keep if recursive else [n for n in keep if is_mask_folder(n)]
        for file in files:
            if file[0] != ".":
                yield (Path(folder) / file).relative_to(path).as_posix()


def _raise_unreadable(error: OSError) -> None:
    raise DatasetError(
        f"The folder {error.filename} cannot be read: {error.strerror}",
        expected="a folder that ComfyUI may read",
        remedy="Check its permissions",
    ) from error


def _caption_extensions(first: str) -> tuple[str, ...]:
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


def _read_item(
    origin: Origin, relative: str, metadata: Metadata, masks: MaskFiles, found: _Findings
) -> DatasetItem:
    source = PictureFile(origin.root / relative, relative)
    # The hash first: if the file changes in between, the picture no longer matches it, which
    # is noticed when it is encoded.
    _ = source.sha256
    facts = inspect(source)
    for note in facts.notes:
        found.add(note, relative)
    row = metadata.rows.get(_normal(relative), MetadataRow())
    sidecar, caption = _read_sidecar(origin, relative, found)
    if caption is not None and row.caption is not None:
        found.both.append(relative)
    parts = PurePosixPath(relative).parts
    return DatasetItem(
        name=relative,
        source=source,
        caption=row.caption if caption is None else caption,
        subject=row.subject or (parts[0] if len(parts) > 1 else None),
        columns=row.columns,
        mask=masks.of(source, relative, facts),
        origin=origin,
        file=relative,
        caption_file=sidecar or (metadata.file if row.caption is not None else None),
    )


def _read_sidecar(
    origin: Origin, relative: str, found: _Findings
) -> tuple[str | None, str | None]:
    """Name and text of the caption file of a picture."""
    for extension in origin.caption_extensions:
        sidecar = PurePosixPath(relative).with_suffix(extension).as_posix()
        if (origin.root / sidecar).is_file():
            found.sidecars[extension] += 1
            return sidecar, read_text(origin.root / sidecar, sidecar).strip()
    return None, None


def _notes(items: list[DatasetItem], found: _Findings, others: list[str]) -> list[str]:
    missing = [item.name for item in items if item.caption is None]
    empty = [item.name for item in items if item.caption == ""]
    odd = [name for name in others if PurePosixPath(name).suffix.lower() in _OTHER_PICTURES]
    lists = {
        f"{len(missing)} of {len(items)} pictures have no caption": missing,
        f"{len(empty)} captions are empty": empty,
        f"{len(odd)} files of a kind that is not read were left out": odd,
        "A caption file was used instead of the metadata": found.both,
        **{f"{note} ({len(names)})": names for note, names in sorted(found.by_note.items())},
    }
    notes = [f"{text}: {shorten(names)}." for text, names in lists.items() if names]
    if len(found.sidecars) > 1:
        counts = ", ".join(f"{count} {ending}" for ending, count in found.sidecars.items())
        notes.append(f"Captions come from files with different endings: {counts}.")
    return notes


def _no_pictures(path: Path, files: _Files) -> DatasetError:
    if files.masks:
        return DatasetError(
            f"There is no picture in {path}, but {len(files.masks)} masks: {shorten(files.masks)}",
            expected="the pictures that the masks belong to",
            remedy="Copy them there; or, if these are the pictures, rename the folder: one named "
            "mask or masks is for masks",
        )
    there = f"{len(files.others)} other files" if files.others else "nothing"
    return DatasetError(
        f"There is no picture in {path}, but {there}",
        expected=f"files ending in {', '.join(sorted(PICTURE_EXTENSIONS))}",
        remedy="Copy the pictures there, or choose another folder",
    )


def _normal(relative: str) -> str:
    """macOS writes accents decomposed, and metadata files rarely do."""
    return unicodedata.normalize("NFC", relative)
