"""What is wrong with the bytes of a caption file, and the text that was meant."""

from __future__ import annotations

import codecs
import itertools
from dataclasses import dataclass

_UTF16 = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_UTF32 = ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"))
_TYPOGRAPHY = str.maketrans({
    "\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201b": "'", "\u201c": '"', "\u201d": '"',
    "\u201e": '"', "\u201f": '"', "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-",
    "\u2014": "-", "\u2026": "...", "\u00a0": " ", "\u202f": " ", "\u2007": " ", "\u200b": None,
    "\u2060": None, "\ufeff": None, "\u00ad": None,
})  # fmt: skip
_QUOTES_CP1252 = frozenset(range(0x91, 0x98)) | {0x85}
_RARE = 0.05


@dataclass(frozen=True)
class Diagnosis:
    """What is the matter with a caption file.

    Attributes:
        what: the predicate of a sentence: ``is not UTF-8 but …``.
        unreadable: whether it cannot be read as it is.
        harms: whether it reaches other trainers' tokens.
        encoding: what it is, or most likely is.
        text: what it should hold; None where that cannot be known.
        certain: whether the text can be nothing else.
        becomes: what it is written as.
    """

    what: str
    unreadable: bool
    harms: bool
    encoding: str
    text: str | None
    certain: bool
    becomes: str


def diagnose(data: bytes) -> Diagnosis | None:
    """Look at the bytes of a caption file; None where they are in order."""
    marked = _with_mark(data)
    if marked is not None:
        return marked
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return _foreign(data)
    if "\0" in text:
        return _unmarked_utf16(data)
    return _untidy(text)


def _with_mark(data: bytes) -> Diagnosis | None:
    """UTF-16 and UTF-32 with their mark: certain, unless they are damaged."""
    for mark, encoding in (*_UTF32, *_UTF16):
        if data.startswith(mark):
            return _as_unicode(data[len(mark) :], encoding)
    return None


def _as_unicode(data: bytes, encoding: str) -> Diagnosis:
    try:
        text: str | None = data.decode(encoding)
    except UnicodeDecodeError:
        text = None
    name = encoding.rpartition("-")[0].upper()
    return Diagnosis(
        f"is {name}, which trainers do not read", True, True, encoding,
        None if text is None else tidied(text), True, "UTF-8",
    )


def _unmarked_utf16(data: bytes) -> Diagnosis:
    """Plain English in UTF-16 has a zero in every second byte; which one tells the order."""
    even, odd = data[::2].count(0), data[1::2].count(0)
    most = len(data) // 2
    if len(data) % 2 == 0 and min(even, odd) == 0 and max(even, odd) > 0.8 * most:
        return _as_unicode(data, "utf-16-le" if odd else "utf-16-be")
    return Diagnosis(
        "has zero bytes in it and is no text", True, True, "unknown", None, False, "UTF-8"
    )


def _foreign(data: bytes) -> Diagnosis:
    """Not Unicode: most likely Windows' western encoding, but who knows."""
    high = [byte for byte in data if byte >= 0x80]
    # Word puts these into plain English. In no other encoding would they be alone, and so few.
    certain = set(high) <= _QUOTES_CP1252 and len(high) <= max(1, _RARE * len(data)) and (
        not any(a >= 0x80 and b >= 0x80 for a, b in itertools.pairwise(data))
    )
    try:
        text: str | None = tidied(data.decode("cp1252"))
    except UnicodeDecodeError:
        text = None
    shown = "" if text is None else f"; as Windows-1252 it reads: {text[:60].strip()}"
    return Diagnosis(
        f"is not UTF-8{shown}", True, True, "cp1252" if text is not None else "unknown", text,
        certain, "UTF-8, taken for Windows-1252",
    )


def _untidy(text: str) -> Diagnosis | None:
    faults = []
    if text.startswith("\ufeff"):
        faults.append("begins with a byte order mark")
    if "\r" in text:
        faults.append("has Windows line ends")
    harms = bool(faults)
    if text.removeprefix("\ufeff").translate(_TYPOGRAPHY) != text.removeprefix("\ufeff"):
        faults.append("has typographic quotes, dashes or spaces, which nobody types in a prompt")
    if not faults:
        return None
    return Diagnosis(
        " and ".join(faults), False, harms, "utf-8", tidied(text), True, "plain UTF-8"
    )


def tidied(text: str) -> str:
    """Without byte order mark, with plain line ends, quotes, dashes and spaces."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_TYPOGRAPHY)
