"""Pictures from the graph, with their captions, as a new folder: whole or not at all."""

from __future__ import annotations

import io
import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from ..core import atomic
from ..core.errors import DatasetError
from ..core.settings import digest
from .decode import decode
from .items import DatasetItem, PictureArray, PictureFile, PictureSource
from .own_files import STATE_FOLDER, refused
from .save_captions import PROVENANCE_FOLDER, provenance_of

SAVED = f"{STATE_FOLDER}/saved.json"
MOST_FOLDERS = 999
_MASK = "-masklabel"


def save_folder(
    items: Sequence[DatasetItem],
    folder: Path,
    *,
    background: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Path, bool]:
    """Write pictures and captions into a folder that is not there yet.

    Pictures in memory become PNG files; files are copied byte for byte. Where the folder exists,
    it gets the next number, unless it holds the same already. It appears under its name when it
    is complete.

    Args:
        items: pictures; those without a caption get no text file.
        folder: where; its parent is made.
        background: of masks that are no plain pictures; unused for the pictures themselves.
        progress: told (done, total) after every picture; may raise to stop.

    Returns:
        The folder, and whether it is new.

    Raises:
        DatasetError: the disk refuses, or a picture cannot be read.
    """
    content = _digest(items)
    for number in range(1, MOST_FOLDERS + 1):
        target = folder if number == 1 else folder.with_name(f"{folder.name}-{number:03d}")
        if not os.path.lexists(target):
            _write_whole(items, target, content, background, progress)
            return target, True
        if _content_of(target) == content:
            return target, False
    raise DatasetError(
        f"There are {MOST_FOLDERS} folders named {folder.name}",
        expected="a name that is free",
        remedy="Choose another name",
    )


def _digest(items: Sequence[DatasetItem]) -> str:
    return digest([
        [item.name, item.source.sha256, item.caption, item.mask.sha256 if item.mask else None]
        for item in items
    ])


def _content_of(folder: Path) -> str | None:
    try:
        return (folder / SAVED).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _write_whole(
    items: Sequence[DatasetItem], target: Path, content: str, background: str,
    progress: Callable[[int, int], None],
) -> None:
    # Hidden, so that no scan takes a half for a whole.
    unfinished = target.with_name(f".{uuid.uuid4().hex}{atomic.TEMPORARY_SUFFIX}")
    try:
        rows = {}
        names = _names(items)
        for number, (item, stem) in enumerate(zip(items, names, strict=True), start=1):
            _write_item(item, unfinished / stem, background)
            rows[f"{stem}.txt"] = {"caption": item.caption, **provenance_of(item)}
            progress(number, len(items))
        atomic.write_json(unfinished / PROVENANCE_FOLDER / "saved.json", rows)
        atomic.write_text(unfinished / SAVED, content)
        os.rename(unfinished, target)
        atomic.sync_folder(target.parent)
    except OSError as error:
        raise refused(target, error) from error
    finally:
        # Nobody's but ours, and of no use unfinished.
        shutil.rmtree(unfinished, ignore_errors=True)


def _names(items: Sequence[DatasetItem]) -> list[str]:
    """File names without ending, no two alike to any system."""
    taken: set[str] = set()
    names = []
    for item in items:
        stem = base = _plain_stem(item.name)
        number = 1
        while stem.casefold() in taken:
            number += 1
            stem = f"{base}_{number}"
        taken.add(stem.casefold())
        names.append(stem)
    return names


def _plain_stem(name: str) -> str:
    """A picture's name as a file name: folders become part of it."""
    last = name.replace("\\", "/").rpartition("/")[2]
    stem = last.rpartition(".")[0] or last
    letters = "".join(c if c.isalnum() or c in "-_ ." else "_" for c in stem).strip(" ._")[:80]
    # No mask, hidden file or reserved name, whatever the picture was called.
    return f"p_{letters}" if letters.casefold().endswith(_MASK) or not letters else letters


def _write_item(item: DatasetItem, stem: Path, background: str) -> None:
    data, ending = _picture_bytes(item.source)
    atomic.write_bytes(stem.with_name(stem.name + ending), data)
    if item.caption is not None:
        atomic.write_text(stem.with_name(f"{stem.name}.txt"), item.caption.strip())
    if item.mask is not None and isinstance(item.mask, (PictureFile, PictureArray)):
        mask = decode(item.mask, background).image.convert("L")
        atomic.write_bytes(stem.with_name(f"{stem.name}{_MASK}.png"), _png(mask))


def _picture_bytes(source: PictureSource) -> tuple[bytes, str]:
    if isinstance(source, PictureFile):
        return source.read_unchanged(), source.path.suffix
    if isinstance(source, PictureArray):
        return _png(Image.fromarray(source.pixels)), ".png"
    raise DatasetError(
        f"{source.name} is no picture of its own",
        expected="a picture file or an image from the graph",
        remedy="Save the picture that it belongs to",
    )


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
