"""Strict decoding: every picture becomes upright 8-bit sRGB, or is refused by name.

What was done on the way (turned, flattened, scaled, converted) is reported, because a person who
looks at the file in another program may see something else.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, UnidentifiedImageError, features

from ..core.errors import DatasetError
from .channels import is_cut_to_eight_bits, split_alpha
from .colour import parse_colour
from .facts import NOTE_ALPHA, NOTE_DEPTH, NOTE_FRAMES, NOTE_TURNED, PictureFacts
from .frames import MAX_FRAMES, count_frames
from .icc import to_srgb
from .items import PictureArray, PictureFile, PictureSource, file_stamp
from .strict import MAX_PIXELS, room_for, strict_loading

DECODE_VERSION = 1
"""Part of every cache key; raise it when the pixels that come out of here change."""
AVIF = "avif" in features.modules and features.check("avif")
# Named, so that a file in disguise never reaches a decoder that runs other programs (EPS).
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF") + (("AVIF",) if AVIF else ())

_ORIENTATION_TAG = 0x0112
_ATTEMPTS = 5
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


@dataclass(frozen=True)
class Decoded:
    """A picture ready for resizing: mode RGB, sRGB, upright; and what was done to get there."""

    image: Image.Image
    notes: tuple[str, ...]


def decode(source: PictureSource, background: str) -> Decoded:
    """Decode a picture and lay it on the background colour.

    Args:
        source: a file or an array.
        background: ``white``, ``grey``, ``black`` or ``#rrggbb``.

    Raises:
        DatasetError: it is damaged, truncated, too large, or of a kind with no clear colours.
    """
    if isinstance(source, PictureArray):
        return flatten(Image.fromarray(source.pixels), source.name, background, [])
    if isinstance(source, PictureFile):
        return decode_bytes(source.read(), source.name, background)
    raise TypeError(f"{type(source).__name__} is not a picture source")


def decode_bytes(data: bytes, name: str, background: str) -> Decoded:
    """Decode the bytes of a picture file; see :func:`decode`."""
    notes: list[str] = []
    return flatten(decode_with_alpha(data, name, notes), name, background, notes)


def decode_with_alpha(data: bytes, name: str, notes: list[str]) -> Image.Image:
    """RGB, or RGBA where the file has transparency; straight alpha, sRGB. See :func:`decode`."""
    return load_upright(data, name, notes, _eight_bit_srgb)


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
    for _ in range(_ATTEMPTS):
        said: list[str] = []
        with _damage_named(name), strict_loading() as is_still_strict:
            pixels = _check(data, name, said)
            with room_for(pixels):
                finished = finish(_upright(_load(data, said), said), name, said)
            if is_still_strict():
                notes += said
                return finished
    raise DatasetError(
        f"{name} cannot be decoded strictly: other code keeps telling Pillow to accept half "
        "pictures",
        expected="no LOAD_TRUNCATED_IMAGES while a dataset is read",
        remedy="Let other work finish, and queue the graph again",
    )


def inspect(source: PictureSource) -> PictureFacts:
    """Decode once to be sure that it can be; remembered until the file changes.

    Raises:
        DatasetError: see :func:`decode`.
    """
    if isinstance(source, PictureFile):
        size, mtime_ns = file_stamp(source.path, source.name)
        if source.record is not None and source.record.stamp == (size, mtime_ns):
            return source.record.facts
        return _inspect_file(source.path, source.name, size, mtime_ns)
    return _facts(decode(source, "white"))


@lru_cache(maxsize=8192)
def _inspect_file(path: Path, name: str, size: int, mtime_ns: int) -> PictureFacts:
    return _facts(decode(PictureFile(path, name), "white"))


def _facts(decoded: Decoded) -> PictureFacts:
    return PictureFacts(decoded.image.width, decoded.image.height, decoded.notes)


def _check(data: bytes, name: str, notes: list[str]) -> int:
    """Look at what the file says of itself, before anything large is made of it.

    Returns:
        How many pixels it has.
    """
    with Image.open(io.BytesIO(data), formats=_FORMATS) as header:
        pixels = header.width * header.height
        if pixels > MAX_PIXELS:
            raise _too_large(name, f"{pixels / 1e6:.0f} million")
        frames = count_frames(header, data)
        header.verify()  # Checksums of a PNG up to its end; other formats have none.
    if frames > MAX_FRAMES:
        raise _too_many_frames(name)
    if frames > 1:
        notes.append(NOTE_FRAMES)
    return pixels


def _load(data: bytes, notes: list[str]) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=_FORMATS)
    if is_cut_to_eight_bits(image):
        notes.append(NOTE_DEPTH)
    if image.format == "TIFF" and image.getexif().get(_ORIENTATION_TAG) in _UPRIGHT:
        notes.append(NOTE_TURNED)  # Pillow turns these while it loads them.
    image.load()
    return image


def _upright(image: Image.Image, notes: list[str]) -> Image.Image:
    # Asked after loading: Pillow has turned TIFF files by itself, and dropped the tag.
    turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION_TAG, 1))
    if turn is None:
        return image
    notes.append(NOTE_TURNED)
    turned = image.transpose(turn)
    turned.info = image.info
    return turned


def _eight_bit_srgb(image: Image.Image, name: str, notes: list[str]) -> Image.Image:
    profile = image.info.get("icc_profile")
    base, alpha = split_alpha(image, name, notes)
    colours = to_srgb(base, profile, name, notes)
    if alpha is not None:
        colours.putalpha(alpha)
    return colours


def flatten(image: Image.Image, name: str, background: str, notes: list[str]) -> Decoded:
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


@contextmanager
def _damage_named(name: str) -> Iterator[None]:
    try:
        yield
    except (DatasetError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(name, "far too many") from error
    # Pillow's plugins raise a dozen kinds, SyntaxError among them, on damaged files.
    except Exception as error:
        raise _damaged(name, error) from error


def _too_many_frames(name: str) -> DatasetError:
    return DatasetError(
        f"{name} holds more than {MAX_FRAMES} frames or pages",
        expected="a picture, or a short animation, of which the first frame is used",
        remedy="Save the frames to train on as pictures of their own",
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
