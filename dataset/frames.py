"""How many pictures a file holds, counted only as far as it matters.

Only the first one is ever decoded. A file with thousands of them is a film, or was made to keep a
decoder busy.
"""

from __future__ import annotations

from PIL import Image

MAX_FRAMES = 1000
"""Files with more are refused."""
_HEADER_BYTES, _DESCRIPTOR_BYTES = 13, 10
_EXTENSION, _DESCRIPTOR = 0x21, 0x2C
_TABLE_FLAG, _TABLE_BITS = 0x80, 0x07


def count_frames(image: Image.Image, data: bytes) -> int:
    """Pictures in a file that Pillow has opened; at most one more than :data:`MAX_FRAMES`.

    Args:
        image: open, not yet loaded; of a TIFF it is left at another page.
        data: the file.
    """
    if image.format == "GIF":
        return _gif_frames(data)
    if image.format == "TIFF":
        return _tiff_pages(image)
    # A phone's MPO is a photograph with its preview or depth map behind it: nothing is lost.
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


def _tiff_pages(image: Image.Image) -> int:
    # Pillow's own count would read the directories of all pages, however many.
    for page in range(1, MAX_FRAMES + 1):
        try:
            image.seek(page)
        except EOFError:
            return page
    return MAX_FRAMES + 1


def _gif_frames(data: bytes) -> int:
    """Image descriptors of a GIF (GIF89a specification, sections 18 to 26).

    Pillow would copy every block to count them. What follows damage is not counted: whether the
    first picture is whole shows when it is decoded.
    """
    frames, position = 0, _HEADER_BYTES + _table_bytes(data, 10)
    while frames <= MAX_FRAMES and position < len(data):
        if data[position] == _EXTENSION:
            position = _after_blocks(data, position + 2)
        elif data[position] == _DESCRIPTOR:
            frames += 1
            table = _table_bytes(data, position + 9)
            position = _after_blocks(data, position + _DESCRIPTOR_BYTES + table + 1)
        else:
            break
    return max(frames, 1)


def _table_bytes(data: bytes, flags_at: int) -> int:
    """Size of the colour table that these flags announce."""
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 * 2 ** ((flags & _TABLE_BITS) + 1) if flags & _TABLE_FLAG else 0


def _after_blocks(data: bytes, position: int) -> int:
    """Behind a chain of sub-blocks, each led by its length, and its closing zero."""
    while position < len(data) and data[position]:
        position += data[position] + 1
    return position + 1
