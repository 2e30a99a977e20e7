"""Colours and transparency of what Pillow has loaded, without losing either."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..core.errors import DatasetError
from .facts import NOTE_DEPTH

_BITS_TAG, _PHOTOMETRIC_TAG, _WHITE_IS_ZERO = 258, 262, 0
_ALPHA_MODES = ("RGBA", "RGBa", "LA", "La", "PA")


def split_alpha(
    image: Image.Image, name: str, notes: list[str]
) -> tuple[Image.Image, Image.Image | None]:
    """The colours as L, RGB, CMYK or LAB without conversion, and the alpha channel as L.

    Raises:
        DatasetError: it is not clear which value is black, white or transparent.
    """
    if image.mode.startswith(("I", "F")):
        return _scale_to_eight_bits(image, name, notes)
    key = image.info.get("transparency")
    if isinstance(key, tuple) and max(key) > 255:
        # Pillow has cut the pixels to 8 bits and would not find the colour among them.
        raise _unclear(name, "16-bit colour with a transparent colour of 16 bits")
    if image.mode in _ALPHA_MODES or key is not None:
        grey = image.mode in ("L", "LA", "La", "1")
        full = image.convert("LA" if grey else "RGBA")
        colours = full.getchannel("L") if grey else full.convert("RGB")
        return colours, full.getchannel("A")
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image.copy(), None
    return image.convert("L" if image.mode == "1" else "RGB"), None


def is_cut_to_eight_bits(image: Image.Image) -> bool:
    """Whether Pillow will drop the lower half of 16-bit colours; asked before it loads them.

    Grey keeps all its bits, in a mode of its own.
    """
    tiles = getattr(image, "tile", ())
    return not image.mode.startswith("I") and any(";16" in str(tile[3]) for tile in tiles)


def _scale_to_eight_bits(
    image: Image.Image, name: str, notes: list[str]
) -> tuple[Image.Image, Image.Image | None]:
    """Scale 16-bit grey to 8 bits; Pillow's own ``convert`` would clip it to white."""
    tags = getattr(image, "tag_v2", {})
    white_is_zero = tags.get(_PHOTOMETRIC_TAG) == _WHITE_IS_ZERO
    # Older Pillow reads a 16-bit PNG as "I", which elsewhere means 32 bits.
    sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
    if not sixteen or white_is_zero:
        kind = "16-bit grey whose zero is white" if white_is_zero else f"numbers ({image.mode})"
        raise _unclear(name, kind)
    notes.append(NOTE_DEPTH)
    values = np.asarray(image).astype(np.uint32)
    bits = tags.get(_BITS_TAG, 16)
    white = 2 ** (bits[0] if isinstance(bits, tuple) else bits) - 1
    scaled = np.minimum((values * 255 + white // 2) // white, 255).astype(np.uint8)
    key = image.info.get("transparency")
    alpha = None
    if isinstance(key, int):
        alpha = Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))
    return Image.fromarray(scaled), alpha


def _unclear(name: str, kind: str) -> DatasetError:
    return DatasetError(
        f"{name} stores its pixels as {kind}, whose black, white or transparency is unclear",
        expected="8 or 16 bits per channel",
        remedy="Open it in a picture editor and save it as an 8-bit PNG",
    )
