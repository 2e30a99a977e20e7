"""JPEG: small, and opens everywhere; ComfyUI does not look for a workflow in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

from PIL import Image

from ..picture_format import PictureFormat
from ..picture_metadata import exif_bytes

LARGEST_EXIF_BYTES = 65533
"""A segment's length has 16 bits and counts itself (ITU-T T.81, B.1.1.4)."""
FINE_COLOUR_QUALITY = 90


def encode(
    picture: Image.Image, file: IO[bytes], texts: Mapping[str, str], quality: int
) -> tuple[str, ...]:
    """With full colour resolution at high quality, where coloured edges should stay sharp."""
    exif, left_out = exif_bytes(texts, LARGEST_EXIF_BYTES)
    subsampling = 0 if quality >= FINE_COLOUR_QUALITY else 2
    picture.save(file, "JPEG", quality=quality, subsampling=subsampling, exif=exif)
    return left_out


FORMAT = PictureFormat(
    name="jpeg",
    doc="small, opens everywhere; the workflow lies beside it as workflow.json",
    suffix=".jpg",
    encode=encode,
    lossless=False,
    longest_side_px=65_500,
    opens=False,
)
