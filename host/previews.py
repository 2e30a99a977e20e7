"""Small pictures of cells for the page in the browser.

A cell of 1024 x 1024 is a megabyte or two; five hundred of them in the clickable grid are slow to
send and slower to shrink. What is shown is at most a few hundred pixels wide.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image

from ..core import atomic

FOLDER = "previews"
SIDE_PX = 384
"""Longest side: as large as the page's slider goes."""
QUALITY, EFFORT = 80, 2


def keep_preview(folder: Path, index: int, picture: Image.Image) -> None:
    """Write a cell's preview below its sweep's folder, unless it is there or needs none.

    Args:
        folder: of the sweep; its pictures never change.
        index: of the cell.
        picture: RGB; one that is small enough is shown itself.
    """
    path = folder / FOLDER / f"cell_{index:04d}.webp"
    if max(picture.size) <= SIDE_PX or path.is_file():
        return
    scale = SIDE_PX / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    buffer = BytesIO()
    small = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    small.save(buffer, "WEBP", quality=QUALITY, method=EFFORT)
    atomic.write_bytes(path, buffer.getvalue())
