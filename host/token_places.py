"""Which characters of a text a tokenizer's tokens stand for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from typing import Any

_WORD_END = "</w>"
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


@dataclass(frozen=True)
class Place:
    """A token in a text: what it is called, its first character, and the one behind its last."""

    text: str
    start: int
    end: int


def places(tokenizer: Any, text: str, ids: Sequence[int], skipped: int) -> list[Place]:
    """Where the tokens of a text stand.

    Args:
        tokenizer: of transformers.
        text: what it was given.
        ids: the tokens, without ``skipped`` ones at the start and without the end token.
        skipped: start tokens.
    """
    names = tokenizer.convert_ids_to_tokens(list(ids))
    if getattr(tokenizer, "is_fast", False):
        pairs = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        spans = pairs[skipped : skipped + len(ids)]
    else:
        spans = matched([token_bytes(name) for name in names], text)
    shown = (readable(name) for name in names)
    return [Place(name, *_never_empty(span, text)) for name, span in zip(shown, spans, strict=True)]


def readable(name: str) -> str:
    """A token for people: without the marks of its word's start or end."""
    return token_bytes(name).decode("utf-8", "replace").strip()


def token_bytes(name: str) -> bytes:
    """The UTF-8 bytes that a token's name stands for.

    GPT-2's byte alphabet (CLIP, Qwen), ``▁`` for a space and ``<0xE8>`` for a byte
    (SentencePiece: T5, Gemma).
    """
    byte = _BYTE.fullmatch(name)
    if byte:
        return bytes([int(byte.group(1), 16)])
    bare = name.removesuffix(_WORD_END)
    alphabet = _byte_alphabet()
    if all(char in alphabet for char in bare):
        return bytes(alphabet[char] for char in bare)
    return bare.replace("▁", " ").encode("utf-8", "replace")


@cache
def _byte_alphabet() -> dict[str, int]:
    """Letter to byte. Printable bytes are themselves; the others are counted up from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + index): byte for index, byte in enumerate(others)
    }


def matched(tokens: Sequence[bytes], text: str) -> list[tuple[int, int]]:
    """Spans of tokens whose letters are found in the text, which may have been lower-cased,
    composed or cleaned on the way.

    What finds no letter of its own stands where the one before it ends.
    """
    stream, owners = _letters(text)
    wanted, numbers = bytearray(), []
    for number, token in enumerate(tokens):
        letters = bytes(byte for byte in token if byte not in b" \n\t\r")
        wanted += letters
        numbers += [number] * len(letters)
    spans: dict[int, tuple[int, int]] = {}
    for there, here in _pairs(bytes(wanted), bytes(stream)):
        start, end = owners[here]
        before = spans.get(numbers[there], (start, end))
        spans[numbers[there]] = (min(before[0], start), max(before[1], end))
    found, last = [], 0
    for number in range(len(tokens)):
        span = spans.get(number, (last, last))
        found.append(span)
        last = max(last, span[1])
    return found


def _pairs(wanted: bytes, stream: bytes) -> Iterator[tuple[int, int]]:
    """Places of equal bytes in both: one by one, or by difference where that does not work."""
    if wanted == stream:
        yield from ((index, index) for index in range(len(wanted)))
        return
    blocks = SequenceMatcher(None, wanted, stream, autojunk=False).get_matching_blocks()
    for there, here, size in blocks:
        yield from ((there + index, here + index) for index in range(size))


def _letters(text: str) -> tuple[bytearray, list[tuple[int, int]]]:
    """Bytes of the lower-cased, composed text without spaces, and the characters of each."""
    stream, owners = bytearray(), []
    for start, end in _clusters(text):
        data = unicodedata.normalize("NFC", text[start:end]).lower().encode("utf-8", "replace")
        for byte in data:
            if byte not in b" \n\t\r":
                stream.append(byte)
                owners.append((start, end))
    return stream, owners


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """A letter with the accents behind it."""
    start = 0
    for index in range(1, len(text) + 1):
        if index == len(text) or not unicodedata.combining(text[index]):
            yield start, index
            start = index


def _never_empty(span: Sequence[int], text: str) -> tuple[int, int]:
    """A token that stands for no letter of its own covers the one it stands at."""
    start, end = int(span[0]), int(span[1])
    if end > start or not text:
        return start, end
    start = min(start, len(text) - 1)
    return start, start + 1
