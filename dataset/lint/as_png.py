"""Fixes that write a picture anew: upright, flat, 8-bit sRGB, as every program understands it."""

from __future__ import annotations

import io

from ...core.errors import DatasetError
from ..changes import Change, WriteFile
from ..decode import decode_bytes
from ..items import DatasetItem, PictureAlpha, PictureFile
from ..own_files import require_own_file
from .context import LintContext
from .finding import Fix
from .folder import Folder, ending_of, stem_of


def png_fix(context: LintContext, item: DatasetItem, what: str, *, safe: bool) -> Fix | None:
    """Writes the picture as this pack trains on it; pixel for pixel the same from then on.

    A PNG keeps its name, its bytes from before stay in the journal. Another file is set aside in
    ``rejected/`` and a PNG takes its place; not where a table knows it by its name.

    Args:
        context: the dataset.
        item: the picture.
        what: what is done, before the file's name: ``flatten``.
        safe: whether it may be done unseen.
    """
    folder = folder_of(context, item)
    if folder is None or not isinstance(item.source, PictureFile):
        return None
    if isinstance(item.mask, PictureAlpha):
        return None  # It would be lost with the transparency.
    file, target = item.file, stem_of(item.file) + ".png"
    keeps_name = ending_of(file) == ".png"
    if not keeps_name and (folder.loses_by_rename(file) or not folder.is_free(target)):
        return None
    try:
        require_own_file(folder.origin.root, file)
    except DatasetError:
        return None  # A link: the file is another dataset's as well.
    source, background = item.source, context.dataset.background
    aside = () if keeps_name else folder.rejected([file])

    def make() -> tuple[Change, ...]:
        data = png_of(source, background)
        return (WriteFile(file if keeps_name else target, data), *aside)

    touched = (WriteFile(file if keeps_name else target, b""), *aside)
    also = "" if keeps_name else f" as {target}; the original goes to rejected/"
    return Fix(folder.origin, touched, f"{what} {file}{also}", safe=safe, make=make)


def png_of(source: PictureFile, background: str) -> bytes:
    """A picture file as the bytes of an 8-bit sRGB PNG, laid on the background.

    Raises:
        DatasetError: it has changed since it was scanned.
    """
    decoded = decode_bytes(source.read_unchanged(), source.name, background)
    file = io.BytesIO()
    decoded.image.info.clear()
    decoded.image.save(file, format="PNG")
    return file.getvalue()


def folder_of(context: LintContext, item: DatasetItem) -> Folder | None:
    """The folder that a picture is from; None for one from the graph."""
    if item.origin is None:
        return None
    root = item.origin.root
    return next((one for one in context.folders if one.origin.root == root), None)
