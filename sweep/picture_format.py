"""What a picture format is; each file in ``picture_formats/`` declares one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from PIL import Image

from ..core import atomic
from ..core.registry import declared_objects

IN_MEMORY_BYTES, BLOCK_BYTES = 32 * 2**20, 2**20

Encoder = Callable[[Image.Image, IO[bytes], Mapping[str, str], int], tuple[str, ...]]
"""Picture, file, texts by name and quality 1..100 -> names of the texts that had no room."""


@dataclass(frozen=True, kw_only=True)
class PictureFormat:
    """A way to write a picture with texts in it.

    Attributes:
        name: word to choose it by.
        doc: what it is good for, for the tooltip.
        suffix: of the file, with its dot.
        encode: writes the picture.
        lossless: whether every pixel comes back as it was.
        longest_side_px: that the format can hold.
        opens: whether ComfyUI opens the workflow from the picture.
    """

    name: str
    doc: str
    suffix: str
    encode: Encoder
    lossless: bool
    longest_side_px: int
    opens: bool

    def write(
        self, path: Path, picture: Image.Image, texts: Mapping[str, str], quality: int
    ) -> tuple[str, ...]:
        """Write a picture atomically, made smaller where the format cannot hold it.

        Args:
            path: with this format's suffix.
            picture: RGB.
            texts: by name, such as ``workflow``.
            quality: 1..100; lossless formats look no different.

        Returns:
            The names of the texts that had no room.
        """
        longest = max(picture.size)
        if longest > self.longest_side_px:
            scale = self.longest_side_px / longest
            width, height = (max(1, int(side * scale)) for side in picture.size)
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        # A page may have tens of megabytes: they go through a file rather than through memory.
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as file:
            left_out = self.encode(picture, file, texts, quality)
            atomic.write_blocks(path, blocks_of(file))
        return left_out


def blocks_of(file: IO[bytes]) -> Iterator[bytes]:
    """The content of a file from its beginning, block by block."""
    file.seek(0)
    while block := file.read(BLOCK_BYTES):
        yield block


def picture_formats() -> dict[str, PictureFormat]:
    """Every format by name."""
    from . import picture_formats as package

    return declared_objects(package, "FORMAT")
