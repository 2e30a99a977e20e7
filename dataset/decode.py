"""Strict decoding: every picture becomes upright 8-bit sRGB, or is refused by name.

What was done on the way (turned, flattened, scaled, converted) is reported, because a person who
looks at the file in another program may see something else.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError, features

from ..core.errors import DatasetError
from .colour import parse_colour
from .icc import to_srgb
from .items import PictureArray, PictureFile, PictureSource, file_stamp

DECODE_VERSION = 1
"""Part of every cache key; raise it when the pixels that come out of here change."""
MAX_PIXELS = 64_000_000
AVIF = "avif" in features.modules and features.check("avif")
# Named, so that a file in disguise never reaches a decoder that runs other programs (EPS).
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF") + (("AVIF",) if AVIF else ())

NOTE_TURNED = "Turned upright as the EXIF data says"
NOTE_ALPHA = "Transparent areas laid on the background colour"
NOTE_FRAMES = "Only the first of several frames or pages used"
NOTE_DEPTH = "16-bit values scaled to 8 bits"

_ORIENTATION_TAG, _BITS_TAG, _PHOTOMETRIC_TAG, _WHITE_IS_ZERO = 0x0112, 258, 262, 0
# EXIF 2.32, section 4.6.4, tag 274: what brings row 0, column 0 back to the top left.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
Finish = Callable[[Image.Image, str, list[str]], Image.Image]
"""Turns an upright picture of any mode, its name and the notes so far into what is wanted."""
_ALPHA_MODES = ("RGBA", "RGBa", "LA", "La", "PA")
_lock = threading.RLock()


@dataclass(frozen=True)
class Decoded:
    """A picture ready for resizing: mode RGB, sRGB, upright; and what was done to get there."""

    image: Image.Image
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PictureFacts:
    """Size of a picture after EXIF, and the notes of its decoding."""

    width_px: int
    height_px: int
    notes: tuple[str, ...]

    @property
    def see_through(self) -> bool:
        """Whether some part of it is transparent."""
        return NOTE_ALPHA in self.notes


def decode(source: PictureSource, background: str) -> Decoded:
    """Decode a picture and lay it on the background colour.

    Args:
        source: a file or an array.
        background: ``white``, ``grey``, ``black`` or ``#rrggbb``.

    Raises:
        DatasetError: it is damaged, truncated, too large, or of a kind with no clear colours.
    """
    if isinstance(source, PictureArray):
        return _flatten(Image.fromarray(source.pixels), source.name, background, [])
    if isinstance(source, PictureFile):
        return decode_bytes(source.read(), source.name, background)
    raise TypeError(f"{type(source).__name__} is not a picture source")


def decode_bytes(data: bytes, name: str, background: str) -> Decoded:
    """Decode the bytes of a picture file; see :func:`decode`."""
    notes: list[str] = []
    image = load_upright(data, name, notes, _eight_bit_srgb)
    return _flatten(image, name, background, notes)


def load_upright(data: bytes, name: str, notes: list[str], finish: Finish) -> Image.Image:
    """Decode the bytes of a file strictly, set the picture upright, and finish it.

    Args:
        data: the file.
        name: what it is called in messages.
        notes: what was done is added here.
        finish: makes of it what is wanted; whatever it raises counts as damage.

    Raises:
        DatasetError: it is damaged, truncated, too large, or of a kind with no clear colours.
    """
    with _strict_loading():
        try:
            image = _load(data, name, notes)
        except (DatasetError, MemoryError):
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise _too_large(name, "far too many") from error
        # Pillow's plugins raise a dozen kinds, SyntaxError among them, on damaged files.
        except Exception as error:
            raise _damaged(name, error) from error
        try:
            return finish(_upright(image, notes), name, notes)
        except (DatasetError, MemoryError):
            raise
        except Exception as error:
            raise _damaged(name, error) from error


def inspect(source: PictureSource) -> PictureFacts:
    """Decode once to be sure that it can be; remembered until the file changes.

    Raises:
        DatasetError: see :func:`decode`.
    """
    if isinstance(source, PictureFile):
        size, mtime_ns = file_stamp(source.path, source.name)
        return _inspect_file(source.path, source.name, size, mtime_ns)
    return _facts(decode(source, "white"))


@lru_cache(maxsize=8192)
def _inspect_file(path: Path, name: str, size: int, mtime_ns: int) -> PictureFacts:
    return _facts(decode(PictureFile(path, name), "white"))


def _facts(decoded: Decoded) -> PictureFacts:
    return PictureFacts(decoded.image.width, decoded.image.height, decoded.notes)


@contextmanager
def _strict_loading() -> Iterator[None]:
    """Let Pillow refuse truncated files, whatever others in this process have told it.

    ComfyUI and many packs set ``LOAD_TRUNCATED_IMAGES``, with which half a picture loads as one
    with a grey lower half. It is global, so it is put back at once.
    """
    with _lock:
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def _load(data: bytes, name: str, notes: list[str]) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as header:
        if header.width * header.height > MAX_PIXELS:
            raise _too_large(name, f"{header.width * header.height / 1e6:.0f} million")
        header.verify()  # Checksums of a PNG up to its end; other formats have none.
    image = Image.open(io.BytesIO(data), formats=_FORMATS)
    # A phone's MPO is a photograph with its preview or depth map behind it: nothing is lost.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        notes.append(NOTE_FRAMES)
    image.load()
    return image


def _upright(image: Image.Image, notes: list[str]) -> Image.Image:
    # Asked after loading: Pillow turns TIFF files by itself and then drops the tag.
    turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION_TAG, 1))
    if turn is None:
        return image
    notes.append(NOTE_TURNED)
    turned = image.transpose(turn)
    turned.info = image.info
    return turned


def _eight_bit_srgb(image: Image.Image, name: str, notes: list[str]) -> Image.Image:
    """RGB, or RGBA where the file has transparency; straight alpha, sRGB."""
    profile = image.info.get("icc_profile")
    base, alpha = split_alpha(image, name, notes)
    colours = to_srgb(base, profile, name, notes)
    if alpha is not None:
        colours.putalpha(alpha)
    return colours


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


def _flatten(image: Image.Image, name: str, background: str, notes: list[str]) -> Decoded:
    """Lay a picture on the background; what is hidden below transparency must not come out."""
    if image.mode != "RGBA":
        return Decoded(image, tuple(notes))
    lowest, highest = image.getchannel("A").getextrema()
    if highest == 0:
        raise DatasetError(
            f"{name} is transparent everywhere",
            expected="a picture with something in it",
            remedy="Export it again, or take it out of the folder",
        )
    if lowest == 255:
        return Decoded(image.convert("RGB"), tuple(notes))
    ground = Image.new("RGBA", image.size, (*parse_colour(background), 255))
    flat = Image.alpha_composite(ground, image).convert("RGB")
    return Decoded(flat, (*notes, NOTE_ALPHA))


def _unclear(name: str, kind: str) -> DatasetError:
    return DatasetError(
        f"{name} stores its pixels as {kind}, whose black, white or transparency is unclear",
        expected="8 or 16 bits per channel",
        remedy="Open it in a picture editor and save it as an 8-bit PNG",
    )


def _too_large(name: str, pixels: str) -> DatasetError:
    return DatasetError(
        f"{name} has {pixels} pixels",
        expected=f"at most {MAX_PIXELS // 1_000_000} million",
        remedy="Save it smaller; training needs no more than a few million",
    )


def _damaged(name: str, error: Exception) -> DatasetError:
    reason = str(error) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):
        reason = "it is not a picture of a kind that can be read"
    return DatasetError(
        f"{name} cannot be decoded: {reason}",
        expected=f"a whole picture ({', '.join(_FORMATS)})",
        remedy="Copy or download it again, or open it in a picture editor and save it anew",
    )
