"""Small changes to files, drawn from a random generator, that keep most of a file as it was."""

from __future__ import annotations

import random
import re
from typing import Literal

from lora_kiln.tests.dataset.fuzz.formats import FORMATS, Part

_NUMBERS = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF,
            0x80000000, 0xFFFFFFFF)
_TOKEN = re.compile(rb"[\w.]+|\s+|.", re.DOTALL)
_WORDS = (
    b'"', b"'", b",", b":", b"\n", b"\r", b"\r\n", b"\0", b"{", b"}", b"[", b"]", b"[[", b"=",
    b"#", b"\\", b"\\u0000", b"\\ud800", b"\\udfff", b"null", b"true", b"NaN", b"Infinity",
    b"1e999", b"-1", b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"a" * 5000, b"\xef\xbb\xbf",
    b"\xff\xfe", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\xcc\x81" * 50, b"..", b"../a.png",
    b"../../../../etc/passwd", b"/etc/passwd", b"C:\\a.png", b"\\\\host\\share\\a.png",
    b"~/a.png", b"file:///etc/passwd", b"CON", b"a.png", b"b/c.png", b"file_name", b"caption",
    b"text", b"subject", b'"""', b"'''", b"\t", b";", b"|||", b"(x:1.2)",
)


def mutated_picture(kind: str, data: bytes, others: list[bytes], random_: random.Random) -> bytes:
    """A picture file of which some parts were changed.

    Args:
        kind: the name of its format.
        data: the file.
        others: files of the same format, to take parts from.
        random_: decides everything.
    """
    form = FORMATS[kind]
    parts = form.split(data)
    for _ in range(random_.choice((1, 1, 1, 2, 3, 6))):
        _change_parts(parts, form.split(random_.choice(others)), random_)
    joined = form.join(parts)
    if random_.random() < 0.1:
        joined = _changed_bytes(joined, random_)
    return joined


def mutated_text(data: bytes, random_: random.Random) -> bytes:
    """A text of which words were dropped, doubled, exchanged or replaced."""
    tokens = _TOKEN.findall(data) or [b""]
    for _ in range(random_.choice((1, 1, 2, 4, 8))):
        at, other = random_.randrange(len(tokens)), random_.randrange(len(tokens))
        way = random_.randrange(6)
        if way == 0:
            tokens[at] = b""
        elif way == 1:
            tokens.insert(at, tokens[other])
        elif way == 2:
            tokens[at], tokens[other] = tokens[other], tokens[at]
        elif way == 3:
            tokens[at] = random_.choice(_WORDS)
        elif way == 4:
            tokens.insert(at, random_.choice(_WORDS))
        else:
            tokens[at] = _changed_bytes(tokens[at], random_)
    return b"".join(tokens)


def _change_parts(parts: list[Part], others: list[Part], random_: random.Random) -> None:
    if not parts:
        parts += others
        return
    at, other = random_.randrange(len(parts)), random_.randrange(len(parts))
    kind, body = parts[at]
    way = random_.randrange(12)
    if way == 0:
        del parts[at]
    elif way == 1:
        parts.insert(other, parts[at])
    elif way == 2:
        parts[at], parts[other] = parts[other], parts[at]
    elif way == 3 and others:
        parts.insert(at, random_.choice(others))
    elif way == 4:
        parts[at] = (kind, body[: random_.randrange(len(body) + 1)])
    elif way == 5:
        parts[at] = (kind, body + random_.randbytes(random_.choice((1, 4, 300))))
    elif way == 6 and kind:
        parts[at] = (_changed_bytes(kind, random_), body)
    elif way < 10:
        parts[at] = (kind, _changed_number(body, random_))
    else:
        parts[at] = (kind, _changed_bytes(body, random_))


def _changed_number(body: bytes, random_: random.Random) -> bytes:
    """Another number where one may stand; those at the beginning decide the most."""
    width = random_.choice((1, 2, 4))
    if len(body) < width:
        return body
    last = len(body) - width
    at = random_.randint(0, min(last, random_.choice((16, 64, last))))
    order: Literal["big", "little"] = "big" if random_.random() < 0.5 else "little"
    before = int.from_bytes(body[at : at + width], order)
    value = random_.choice((random_.choice(_NUMBERS), before + 1, before - 1, before * 2, ~before))
    return body[:at] + (value % 256**width).to_bytes(width, order) + body[at + width :]


def _changed_bytes(data: bytes, random_: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random_.choice((1, 2, 8))):
        if changed:
            at = random_.randrange(len(changed))
            changed[at] = random_.choice((changed[at] ^ 1 << random_.randrange(8), 0, 255))
    return bytes(changed)
