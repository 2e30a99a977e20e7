"""Texts inside pictures, such as the workflow, where ComfyUI's front end looks for them.

In PNG they are text chunks, as the stock SaveImage node writes them. In WebP they are EXIF tags of
the form ``name:text``: the stock SaveAnimatedWEBP node puts ``prompt`` into 0x0110 and the rest
from 0x010F downwards. The front end (1.47) reads every text tag of the EXIF's first folder and
parts it at its first colon. From JPEG it reads nothing; there the same tags serve other tools.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping

from PIL import Image, PngImagePlugin

PROMPT, WORKFLOW = "prompt", "workflow"
_SIGNATURE_BYTES, _TEXT_CHUNKS = 8, (b"tEXt", b"zTXt", b"iTXt")
_PROMPT_TAG, _WORKFLOW_TAG = 0x0110, 0x010F
_OTHER_TAGS = (0x010E, 0x010D, 0x0131, 0x013B, 0x013C)
"""Tags that TIFF declares as text: description, document, software, artist, computer."""


def png_info(texts: Mapping[str, str]) -> PngImagePlugin.PngInfo:
    """Text chunks; what is not plain ASCII is written as UTF-8, which the front end expects."""
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        if text.isascii():
            info.add_text(name, text)
        else:
            info.add_itxt(name, text.encode("utf-8", "replace").decode("utf-8"))
    return info


def png_with_texts(data: bytes, texts: Mapping[str, str]) -> bytes:
    """A PNG file with these texts instead of its own, its pixels as they are packed.

    Writing a picture anew takes many times as long.
    """
    chunks = list(_chunks(data))
    header, rest = chunks[0], [own for own in chunks[1:] if own[0] not in _TEXT_CHUNKS]
    own = [(kind, body) for kind, body, *_ in png_info(texts).chunks]
    packed = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in (header, *own, *rest)
    )
    return data[:_SIGNATURE_BYTES] + packed


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each chunk (PNG specification, third edition, 5.3)."""
    start = _SIGNATURE_BYTES
    while start < len(data):
        (length,) = struct.unpack_from(">I", data, start)
        yield data[start + 4 : start + 8], data[start + 8 : start + 8 + length]
        start += 12 + length


def exif_bytes(
    texts: Mapping[str, str], most_bytes: int | None = None
) -> tuple[bytes, tuple[str, ...]]:
    """The texts as EXIF, and the names of those that had no room.

    Args:
        texts: by name.
        most_bytes: how large all of it may be; None: no limit.
    """
    exif, left_out = Image.Exif(), []
    other = iter(_OTHER_TAGS)
    fixed = {PROMPT: _PROMPT_TAG, WORKFLOW: _WORKFLOW_TAG}
    # The small ones first, so that one large text does not push out the rest.
    for name in sorted(texts, key=lambda name: len(texts[name])):
        tag = fixed.get(name) or next(other, None)
        if tag is None:
            left_out.append(name)
            continue
        exif[tag] = f"{name}:{texts[name]}".encode("utf-8", "replace")
        if most_bytes is not None and len(exif.tobytes()) > most_bytes:
            del exif[tag]
            left_out.append(name)
    return (exif.tobytes() if len(exif) else b""), tuple(left_out)
