"""Picture files taken apart and put together again, so that a changed part is still reached.

Bytes flipped at random mostly break a checksum or a length, and the decoder never sees them.
Here a file is a list of parts; joining them writes lengths and checksums anew.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

Part = tuple[bytes, bytes]
"""What it is called in the file (may be empty), and its content."""


class Format(NamedTuple):
    """How files of one kind come apart."""

    split: Callable[[bytes], list[Part]]
    join: Callable[[list[Part]], bytes]


def _split_png(data: bytes) -> list[Part]:
    parts, position = [], 8
    while position + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        body = data[position + 8 : position + 8 + length]
        # Unpacked, so that what is changed are filters and pixels, not the compression.
        parts.append((kind, zlib.decompress(body) if kind == b"IDAT" else body))
        position += length + 12
    return parts


def _join_png(parts: list[Part]) -> bytes:
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in parts:
        packed = zlib.compress(body, 1) if kind == b"IDAT" else body
        check = zlib.crc32(kind + packed)
        data += struct.pack(">I", len(packed)) + kind + packed + struct.pack(">I", check)
    return data


def _split_jpeg(data: bytes) -> list[Part]:
    """Segments (ITU T.81, annex B); what follows the start of scan stays one part."""
    parts, position = [], 2
    while position + 4 <= len(data):
        marker = data[position : position + 2]
        (length,) = struct.unpack_from(">H", data, position + 2)
        parts.append((marker, data[position + 4 : position + 2 + length]))
        position += 2 + length
        if marker == b"\xff\xda":
            break
    return [*parts, (b"", data[position:])]


def _join_jpeg(parts: list[Part]) -> bytes:
    data = b"\xff\xd8"
    for marker, body in parts:
        length = struct.pack(">H", min(len(body) + 2, 0xFFFF)) if marker else b""
        data += marker + length + body
    return data


def _split_riff(data: bytes) -> list[Part]:
    parts, position = [], 12
    while position + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, position + 4)
        parts.append((data[position : position + 4], data[position + 8 : position + 8 + length]))
        position += 8 + length + length % 2
    return parts


def _join_riff(parts: list[Part]) -> bytes:
    body = b"WEBP"
    for kind, content in parts:
        body += kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _split_gif(data: bytes) -> list[Part]:
    """Header with its table, then extensions and pictures with their sub-blocks unchained."""
    position = 13 + _gif_table(data[10])
    parts = [(b"", data[:position])]
    while position < len(data) and data[position] in (0x21, 0x2C):
        is_picture = data[position] == 0x2C
        length = 10 + _gif_table(data[position + 9]) + 1 if is_picture else 2
        head, position = data[position : position + length], position + length
        body = b""
        while position < len(data) and data[position]:
            body += data[position + 1 : position + 1 + data[position]]
            position += data[position] + 1
        parts.append((head, body))
        position += 1
    return parts


def _join_gif(parts: list[Part]) -> bytes:
    data = parts[0][1] if parts else b""
    for head, body in parts[1:]:
        blocks = [body[at : at + 255] for at in range(0, len(body), 255)]
        data += head + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
    return data + b"\x3b"


def _gif_table(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _split_tiff(data: bytes) -> list[Part]:
    """The entries of the first directory, each a part; the rest is one, and stays in place."""
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    ends = [at + 2 + 12 * number for number in range(count + 1)]
    entries = [(b"entry", data[begin : begin + 12]) for begin in ends[:-1]]
    return [(b"", data[: at + 2]), *entries, (b"", data[ends[-1] :])]


def _join_tiff(parts: list[Part]) -> bytes:
    entries = [body[:12].ljust(12, b"\0") for kind, body in parts if kind == b"entry"]
    blobs = [body for kind, body in parts if kind != b"entry"]
    head, rest = (blobs[0] if blobs else b""), b"".join(blobs[1:])
    order = "<" if head[:2] == b"II" else ">"
    count = struct.pack(order + "H", len(entries))
    return head[:-2] + count + b"".join(entries) + rest


def _split_boxes(data: bytes) -> list[Part]:
    """Boxes of the ISO base media format, those in ``meta`` and ``iprp`` as well."""
    parts, position = [], 0
    while position + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        if length < 8:
            break
        parts.append((kind, data[position + 8 : position + length]))
        position += length
    return parts


def _join_boxes(parts: list[Part]) -> bytes:
    return b"".join(struct.pack(">I", len(body) + 8) + kind + body for kind, body in parts)


def _split_bmp(data: bytes) -> list[Part]:
    (header,) = struct.unpack_from("<I", data, 14)
    return [(b"", data[:14]), (b"", data[14 : 14 + header]), (b"", data[14 + header :])]


def _join_bmp(parts: list[Part]) -> bytes:
    return b"".join(body for _, body in parts)


FORMATS = {
    "PNG": Format(_split_png, _join_png),
    "JPEG": Format(_split_jpeg, _join_jpeg),
    "WEBP": Format(_split_riff, _join_riff),
    "GIF": Format(_split_gif, _join_gif),
    "TIFF": Format(_split_tiff, _join_tiff),
    "AVIF": Format(_split_boxes, _join_boxes),
    "BMP": Format(_split_bmp, _join_bmp),
}
