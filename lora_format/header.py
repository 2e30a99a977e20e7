"""The header of a safetensors file, checked before anything else touches the file.

LoRA files come from strangers. The layout is: 8 bytes length (little-endian), that many bytes of
JSON, then the tensors' bytes. Everything the header claims is held against the file's real size,
with bounded time and memory, so that later code may trust it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ..core.errors import LoraFormatError

MAX_HEADER_BYTES = 16 << 20
"""Kohya's tag statistics make headers of a megabyte or two; this is many times that."""
MAX_TENSORS = 20_000
MAX_NAME_CHARACTERS = 512
MAX_DIMENSIONS = 8
MAX_ELEMENTS = 1 << 40
MAX_DIGITS = 19
MAX_DEPTH = 3
MAX_STRUCTURE = 24 * MAX_TENSORS
"""Brackets, commas and colons outside of strings: what bounds the parsed objects' memory."""
MAX_QUOTES = 2_000_000
"""With backslashes. Tag statistics are JSON inside a string: each tag in escaped quotes."""

DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F4": 4,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64,
}

PICKLE_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")
PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")

STRING = re.compile(rb'"[^"]*"?')
NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Also those that break lines or turn the direction of writing: names stand in messages."""
SURROGATE = re.compile(r"[\ud800-\udfff]")
CLIMBING = re.compile(r"(^|[/\\])\.\.([/\\]|$)")


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Where a tensor lies.

    Attributes:
        dtype: safetensors' name of it, such as ``BF16``.
        shape: sizes.
        start_bytes: first byte, counted from the end of the header.
        stop_bytes: one past the last byte.
    """

    dtype: str
    shape: tuple[int, ...]
    start_bytes: int
    stop_bytes: int


@dataclass(frozen=True)
class Header:
    """A header that was checked.

    Attributes:
        entries: tensors by key, in the order of the file.
        metadata: the file's own strings; hints, never facts.
        data_bytes: size of everything after the header.
    """

    entries: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]
    data_bytes: int


def read_header(path: Path) -> Header:
    """Read and check a file's header.

    Raises:
        LoraFormatError: the file is missing, no safetensors file, or its header lies.
    """
    if not _is_file(path):
        raise LoraFormatError(
            f"There is no file {path.name}",
            expected="a LoRA file (.safetensors)",
            remedy="Check the name; the LoRA lists are read again when the page is reloaded",
        )
    if path.suffix.lower() in PICKLE_SUFFIXES:
        _refuse_pickle(path.name)
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            length = _header_length(file.read(8), size, path.name)
            raw = file.read(length)
    except OSError as error:
        raise LoraFormatError(
            f"{path.name} cannot be read ({error.strerror})",
            expected="a file that may be opened",
            remedy="Look after its permissions and its disk",
        ) from error
    return parse_header(raw, size - 8 - length, path.name)


def parse_header(raw: bytes, data_bytes: int, name: str) -> Header:
    """Check a header's JSON against the size of the data behind it.

    Args:
        raw: the JSON bytes.
        data_bytes: how many bytes follow the header.
        name: the file's name, for messages.

    Raises:
        LoraFormatError: anything is not as the format demands.
    """
    if not raw.startswith(b"{"):
        _bad(name, "has a header that is no JSON object")
    _check_structure(raw, name)
    parsed = _parse(raw, name)
    metadata = _metadata(parsed.pop("__metadata__", {}), name)
    if len(parsed) > MAX_TENSORS:
        _bad(name, f"names {len(parsed)} tensors", f"at most {MAX_TENSORS}")
    entries = {key: _entry(key, value, name) for key, value in parsed.items()}
    _check_layout(entries, data_bytes, name)
    return Header(entries=entries, metadata=metadata, data_bytes=data_bytes)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _header_length(start: bytes, size: int, name: str) -> int:
    """The length that a file's first bytes name, if it can be true."""
    length = int.from_bytes(start, "little")
    if len(start) == 8 and 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
        return length
    # Only now: a header of 640 bytes begins like a pickle, too.
    if start.startswith(PICKLE_STARTS):
        _refuse_pickle(name)
    _bad(
        name,
        f"names a header of {length} bytes in a file of {size}",
        f"at most {MAX_HEADER_BYTES} bytes, all of them in the file",
    )


def _refuse_pickle(name: str) -> NoReturn:
    raise LoraFormatError(
        f"{name} is a pickle file, which can run any program when it is opened",
        expected="a .safetensors file",
        remedy="Ask its maker for safetensors, or convert it where you trust it: "
        "safetensors.torch.save_file(torch.load(FILE, weights_only=True), NEW_FILE)",
    )


def _check_structure(raw: bytes, name: str) -> None:
    """Bound nesting and the number of JSON values before they become objects."""
    if raw.count(b'"') + raw.count(b"\\") > MAX_QUOTES:
        _bad(name, "has a header of too many strings", f"at most {MAX_QUOTES // 2}")
    # Without escapes, each quote begins or ends a string. (A pattern that knows escapes takes
    # quadratic time where the last string has no end.)
    outside = STRING.sub(b"", raw.replace(b"\\\\", b"").replace(b'\\"', b""))
    if sum(outside.count(mark) for mark in b"[{]},:") > MAX_STRUCTURE:
        _bad(name, "has a header of too many parts", f"at most {MAX_TENSORS} tensors")
    depth = 0
    for bracket in outside.translate(None, NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            _bad(name, f"has a header nested deeper than {MAX_DEPTH} levels")


def _parse(raw: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_size,
            parse_float=_no_size,
            parse_constant=_no_size,
        )
    except (ValueError, RecursionError) as error:
        found = str(error)  # only its text: the error itself holds the whole header
    if not isinstance(found, dict):
        _bad(name, f"has a header that is no plain JSON ({found})")
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, item in pairs:
        if key in value:
            raise ValueError(f"the name {key[:60]!a} stands there twice")
        value[key] = item
    return value


def _size(text: str) -> int:
    """Sizes and offsets are all numbers that a header has; ``-0`` is none."""
    if len(text) > MAX_DIGITS or text.startswith("-"):
        _no_size(text)
    return int(text)


def _no_size(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is no size")


def _metadata(value: Any, name: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        _bad(name, "has metadata that are not all strings", "a JSON object of strings")
    for key, text in value.items():
        if not (_is_utf8(key) and _is_utf8(text)):
            _bad(name, "has metadata that are no Unicode text")
    return dict(value)


def _entry(key: str, value: Any, name: str) -> TensorEntry:
    _check_name(key, name)
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        _bad(name, f"describes {key} incompletely", "dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        shown = repr(dtype[:40]) if isinstance(dtype, str) else type(dtype).__name__
        _bad(name, f"gives {key} the dtype {shown}", "one that safetensors knows")
    if not _is_sizes(shape) or len(shape) > MAX_DIMENSIONS:
        _bad(name, f"gives {key} an absurd shape", f"at most {MAX_DIMENSIONS} whole numbers")
    if not _is_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        _bad(name, f"gives {key} absurd data_offsets", "[first byte, one past the last]")
    if math.prod(size or 1 for size in shape) > MAX_ELEMENTS:  # beside a 0, too
        _bad(name, f"gives {key} an absurd shape", f"at most {MAX_ELEMENTS} elements")
    if math.prod(shape) * DTYPE_BITS[dtype] != (offsets[1] - offsets[0]) * 8:
        _bad(name, f"gives {key} {offsets[1] - offsets[0]} bytes for shape {shape} in {dtype}")
    return TensorEntry(dtype, tuple(shape), offsets[0], offsets[1])


def _check_name(key: str, name: str) -> None:
    bad = (
        not key
        or len(key) > MAX_NAME_CHARACTERS
        or not _is_utf8(key)
        or CONTROL.search(key)
        or CLIMBING.search(key)
    )
    if bad:
        _bad(name, f"has a tensor with the name {key[:60]!a}", "a plain, short name")


def _is_utf8(text: str) -> bool:
    """False for lone surrogates, which JSON can smuggle into a string."""
    return not SURROGATE.search(text)


def _is_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(
        type(number) is int and 0 <= number <= MAX_ELEMENTS for number in value
    )


def _check_layout(entries: Mapping[str, TensorEntry], data_bytes: int, name: str) -> None:
    """Tensors fill the data exactly: no overlap, no hole, nothing behind the end."""
    position = 0
    ordered = sorted(entries.items(), key=lambda item: (item[1].start_bytes, item[1].stop_bytes))
    for key, entry in ordered:
        if entry.start_bytes != position:
            _bad(
                name,
                f"places {key} at byte {entry.start_bytes}, where byte {position} comes next",
                "tensors one after the other",
            )
        position = entry.stop_bytes
    if position != data_bytes:
        _bad(name, f"has {data_bytes} bytes of data for {position} that its header describes")


def _bad(name: str, what: str, expected: str = "a whole, well-formed safetensors file") -> NoReturn:
    raise LoraFormatError(
        f"{name} {what}",
        expected=expected,
        remedy="Download or save the file again; do not use it if you do not know its maker",
    )
