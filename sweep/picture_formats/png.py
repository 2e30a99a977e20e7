"""PNG: exact, and what the stock SaveImage node writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

from PIL import Image

from ..picture_format import PictureFormat
from ..picture_metadata import png_info


def encode(
    picture: Image.Image, file: IO[bytes], texts: Mapping[str, str], _quality: int
) -> tuple[str, ...]:
    """Compressed as the stock node does it."""
    picture.save(file, "PNG", pnginfo=png_info(texts), compress_level=4)
    return ()


FORMAT = PictureFormat(
    name="png",
    doc="exact; ComfyUI opens the workflow from it",
    suffix=".png",
    encode=encode,
    lossless=True,
    longest_side_px=2**31 - 1,
    opens=True,
)
