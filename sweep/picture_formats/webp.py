"""WebP: smaller than JPEG at the same quality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

from PIL import Image

from ..picture_format import PictureFormat
from ..picture_metadata import exif_bytes


def encode(
    picture: Image.Image, file: IO[bytes], texts: Mapping[str, str], quality: int
) -> tuple[str, ...]:
    """The usual effort."""
    exif, left_out = exif_bytes(texts)
    picture.save(file, "WEBP", lossless=False, quality=quality, method=4, exif=exif)
    return left_out


FORMAT = PictureFormat(
    name="webp",
    doc="smaller than JPEG; ComfyUI opens the workflow from it",
    suffix=".webp",
    encode=encode,
    lossless=False,
    longest_side_px=16_383,
    opens=True,
)
