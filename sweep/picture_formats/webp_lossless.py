"""Lossless WebP: exact, about a quarter smaller than PNG, and slower to write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

from PIL import Image

from ..picture_format import PictureFormat
from ..picture_metadata import exif_bytes

LOSSLESS_EFFORT = 40


def encode(
    picture: Image.Image, file: IO[bytes], texts: Mapping[str, str], _quality: int
) -> tuple[str, ...]:
    """Here quality is how hard the encoder tries, not how the picture looks."""
    exif, left_out = exif_bytes(texts)
    picture.save(file, "WEBP", lossless=True, quality=LOSSLESS_EFFORT, method=4, exif=exif)
    return left_out


FORMAT = PictureFormat(
    name="webp_lossless",
    doc="exact and smaller than PNG, slower to write; ComfyUI opens the workflow from it",
    suffix=".webp",
    encode=encode,
    lossless=True,
    longest_side_px=16_383,
    opens=True,
)
