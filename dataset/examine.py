"""Decoding a picture file once, for everything that is worth remembering of it."""

from __future__ import annotations

from PIL import Image

from .decode import decode_with_alpha, flatten
from .facts import PictureFacts, PictureRecord
from .items import PictureFile, file_stamp, sha256_of
from .perceptual import perceptual_hash

EXAMINE_VERSION = 1
"""Raise it when a record comes out different for the same file and pixels."""
_NEARLY_BLACK, _NEARLY_WHITE = 8, 247


def examine(file: PictureFile) -> PictureRecord:
    """Read, hash and decode a picture file.

    Raises:
        DatasetError: see :func:`.decode.decode`.
    """
    size_bytes, mtime_ns = file_stamp(file.path, file.name)
    data = file.read()
    notes: list[str] = []
    image = decode_with_alpha(data, file.name, notes)
    picture = flatten(image, file.name, "white", notes)
    return PictureRecord(
        size_bytes=size_bytes,
        mtime_ns=mtime_ns,
        sha256=sha256_of(data),
        facts=PictureFacts(picture.image.width, picture.image.height, picture.notes),
        hides_colours=hides_colours(image),
        perceptual_hash=perceptual_hash(picture.image),
    )


def hides_colours(image: Image.Image) -> bool:
    """Whether wholly transparent pixels carry colours other than black and white.

    Args:
        image: RGB or RGBA, straight alpha.
    """
    if image.mode != "RGBA":
        return False
    unseen = image.getchannel("A").point([255] + [0] * 255)
    if unseen.getbbox() is None:
        return False
    counts = [image.getchannel(channel).histogram(unseen) for channel in "RGB"]
    between = any(sum(count[_NEARLY_BLACK : _NEARLY_WHITE + 1]) for count in counts)
    bright = [sum(count[_NEARLY_WHITE + 1 :]) for count in counts]
    # Pure red has no value in between, but more bright red than bright green.
    return between or len(set(bright)) > 1
