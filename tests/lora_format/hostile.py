"""Hand-made hostile files: whatever a stranger may call a LoRA. Each function makes one.

``HOSTILE`` lists them by name. All must be refused with ``LoraFormatError``, quickly and in little
memory, and with a short message, since names in the file are the stranger's, too.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Maker = Callable[[Path], Path]
HOSTILE: dict[str, Maker] = {}
NAME = "some.safetensors"
CAP = 16 << 20
FACE = "\N{GRINNING FACE}".encode()
"""A character that makes Python keep four bytes for each one of the whole text."""


def entry(**changes: Any) -> dict[str, Any]:
    """One number in fp32 at the start of the data, with something changed."""
    return {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **changes}


def file_bytes(header: Any, data: bytes = b"0000") -> bytes:
    """A file with a header (text, or what becomes text) and data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _is(content: bytes, name: str = NAME) -> Maker:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return make


def _hostile(function: Callable[[], bytes]) -> Callable[[], bytes]:
    """Add a function that returns a file's bytes; called only when the file is wanted."""

    def make(folder: Path) -> Path:
        return _is(function())(folder)

    HOSTILE[function.__name__] = make
    return function


def _on_disk(function: Maker) -> Maker:
    """Add a function that does more than write bytes."""
    HOSTILE[function.__name__] = function
    return function


# Sizes and lengths that lie. A name, and the whole file.
HOSTILE |= {
    name: _is(content)
    for name, content in {
        "empty_file": b"",
        "one_byte": b"{",
        "seven_bytes": b"\x02\0\0\0\0\0\0",
        "length_only": struct.pack("<Q", 2),
        "length_zero": bytes(8),
        "length_zero_and_data": bytes(100),
        "length_one": struct.pack("<Q", 1) + b"{",
        "length_one_past_the_end": struct.pack("<Q", 3) + b"{}",
        "length_without_last_brace": struct.pack("<Q", 1) + b"{}",
        "length_into_the_data": struct.pack("<Q", 3) + b"{}x",
        "length_of_2_to_the_63": struct.pack("<Q", 1 << 63) + b"{}",
        "length_of_all_ones": b"\xff" * 8 + b"{}",
        "length_big_endian": struct.pack(">Q", 2) + b"{}",
        "length_negative_when_signed": struct.pack("<q", -2) + b"{}",
        "truncated_in_the_header": file_bytes({"a": entry()})[:40],
        "truncated_in_the_data": file_bytes({"a": entry()})[:-1],
        "no_data_at_all": file_bytes({"a": entry()}, b""),
        "bytes_behind_the_data": file_bytes({"a": entry()}, b"00000"),
        "bytes_behind_nothing": file_bytes(b"{}", b"0"),
        # What is downloaded instead of a file.
        "html_page": b"<!DOCTYPE html><html><body>Access to model denied</body></html>",
        "git_lfs_pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64,
        "gguf": b"GGUF\x03\0\0\0" + bytes(64),
        "zeros": bytes(4096),
        "header_alone": json.dumps({"a": entry()}).encode(),
    }.items()
}

# Headers that are no JSON object.
HOSTILE |= {
    name: _is(file_bytes(text))
    for name, text in {
        "array": b'["a"]',
        "string": b'"__metadata__"',
        "number": b"42",
        "null": b"null",
        "true": b"true",
        "spaces_only": b"        ",
        "byte_order_mark": b"\xef\xbb\xbf" + json.dumps({"a": entry()}).encode(),
        "utf_16": json.dumps({"a": entry()}).encode("utf-16-le"),
        "space_in_front": b" " + json.dumps({"a": entry()}).encode(),
        "nul_behind": json.dumps({"a": entry()}).encode() + b"\0\0\0",
        "two_objects": json.dumps({"a": entry()}).encode() * 2,
        "comma_at_the_end": json.dumps({"a": entry()}).encode()[:-1] + b",}",
        "single_quotes": repr({"a": entry()}).encode(),
        "comment": b"/* hello */" + json.dumps({"a": entry()}).encode(),
        "python_literal": b'{"a": (1, 2)}',
        "brackets_crossed": b'{"a": [}]',
        "name_without_value": b'{"a"}',
        "name_without_end": b'{"a',
        "name_is_a_number": b'{1: 2}',
        "invalid_utf8_in_a_name": json.dumps({"XX": entry()}).encode().replace(b"XX", b"\xff\xfe"),
        "overlong_utf8": json.dumps({"XX": entry()}).encode().replace(b"XX", b"\xc0\xaf"),
        "surrogate_in_utf8": json.dumps({"XXX": entry()}).encode().replace(b"XXX", b"\xed\xa0\x80"),
        "raw_newline_in_a_name": json.dumps({"X": entry()}).encode().replace(b"X", b"\n"),
        "unknown_escape": json.dumps({"XX": entry()}).encode().replace(b"XX", rb"\x"),
        "half_an_escape": json.dumps({"XX": entry()}).encode().replace(b"XX", rb"\u12"),
        "nan": b'{"a": NaN}',
        "infinity": b'{"a": {"dtype": "F32", "shape": [Infinity], "data_offsets": [0, 4]}}',
        "minus_infinity": b'{"__metadata__": {"a": -Infinity}}',
        "deep_arrays": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "deep_arrays_unclosed": b'{"a":' + b"[" * 400_000,
        "deep_objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "deep_in_metadata": b'{"__metadata__":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}",
        "deep_in_a_shape": json.dumps({"a": entry(shape=[[[[[1]]]]])}).encode(),
        "closing_brackets_first": b"{" + b"]" * 1000 + b"[" * 1000,
    }.items()
}

# A tensor's description that lies or is none.
HOSTILE |= {
    f"entry_{name}": _is(file_bytes({"a": value}))
    for name, value in {
        "null": None,
        "a_number": 1,
        "a_string": "F32",
        "a_list": ["F32", [1], [0, 4]],
        "empty": {},
        "without_dtype": {"shape": [1], "data_offsets": [0, 4]},
        "without_shape": {"dtype": "F32", "data_offsets": [0, 4]},
        "without_offsets": {"dtype": "F32", "shape": [1]},
        "with_more": entry(strides=[1]),
        "misspelt": {"dtype": "F32", "shape": [1], "offsets": [0, 4]},
        "dtype_unknown": entry(dtype="F33"),
        "dtype_lower_case": entry(dtype="f32"),
        "dtype_null": entry(dtype=None),
        "dtype_a_number": entry(dtype=32),
        "dtype_an_object": entry(dtype={"F32": None}),
        "dtype_a_list": entry(dtype=["F32"]),
        "dtype_with_nul": entry(dtype="F32\0"),
        "shape_null": entry(shape=None),
        "shape_a_number": entry(shape=1),
        "shape_a_string": entry(shape="1"),
        "shape_an_object": entry(shape={"0": 1}),
        "shape_of_strings": entry(shape=["1"]),
        "shape_of_bools": entry(shape=[True]),
        "shape_of_floats": entry(shape=[1.0]),
        "shape_of_nulls": entry(shape=[None]),
        "shape_nested": entry(shape=[[1]]),
        "shape_negative": entry(shape=[-1]),
        "shape_negative_twice": entry(shape=[-1, -1]),
        "shape_too_large": entry(shape=[2]),
        "shape_too_small": entry(shape=[0]),
        "shape_of_nine": entry(shape=[1] * 9),
        "shape_of_ten_thousand": entry(shape=[1] * 10_000),
        "shape_of_2_to_the_63": entry(shape=[1 << 63]),
        "shape_of_2_to_the_64": entry(shape=[1 << 64]),
        "shape_of_a_googol": entry(shape=[10**100]),
        "shape_product_wraps_to_1": entry(shape=[(1 << 40) - 1, (1 << 40) - 1]),
        "shape_bytes_wrap_to_4": entry(shape=[(1 << 62) + 1]),
        "shape_of_4_bits_odd": entry(dtype="F4", shape=[7]),
        "offsets_null": entry(data_offsets=None),
        "offsets_a_string": entry(data_offsets="04"),
        "offsets_one": entry(data_offsets=[4]),
        "offsets_three": entry(data_offsets=[0, 4, 4]),
        "offsets_none": entry(data_offsets=[]),
        "offsets_an_object": entry(data_offsets={"0": 0, "1": 4}),
        "offsets_floats": entry(data_offsets=[0.0, 4.0]),
        "offsets_bools": entry(data_offsets=[False, 4]),
        "offsets_strings": entry(data_offsets=["0", "4"]),
        "offsets_negative": entry(data_offsets=[-4, 0]),
        "offsets_reversed": entry(data_offsets=[4, 0]),
        "offsets_behind_the_end": entry(data_offsets=[4, 8]),
        "offsets_far_behind_the_end": entry(data_offsets=[1 << 39, (1 << 39) + 4]),
        "offsets_of_2_to_the_64": entry(data_offsets=[(1 << 64) - 4, 1 << 64]),
        "offsets_into_the_header": entry(data_offsets=[-8, -4]),
        "offsets_too_few_bytes": entry(shape=[2], data_offsets=[0, 4]),
        "offsets_too_many_bytes": entry(dtype="F16"),
    }.items()
}
HOSTILE |= {
    f"number_{name}": _is(file_bytes(json.dumps({"a": entry(shape=["X"])}).encode().replace(
        b'"X"', text
    )))
    for name, text in {
        "one_as_a_float": b"1.0",
        "one_with_exponent": b"1e0",
        "leading_zero": b"01",
        "plus": b"+1",
        "hexadecimal": b"0x1",
        "underscore": b"0_1",
        "exponent_of_a_billion": b"1e999999999",
        "of_4300_digits": b"1" * 4300,
        "of_4301_digits": b"1" * 4301,
        "of_a_million_digits": b"1" * 1_000_000,
        "of_a_million_zeros_and_1": b"0" * 1_000_000 + b"1",
        "arabic_digit": "\N{ARABIC-INDIC DIGIT ONE}".encode(),
    }.items()
}
HOSTILE |= {
    f"nothing_{name}": _is(file_bytes({"a": entry(shape=shape, data_offsets=[0, 0])}, b""))
    for name, shape in {
        "but_the_product_wraps_to_0": [1 << 32, 1 << 32],
        "beside_huge": [1 << 40, 1 << 40, 0],
        "before_huge": [0, 1 << 40, 1 << 40],
        "of_shape_none": [],
        "of_shape_one": [1],
    }.items()
}
HOSTILE["number_minus_zero"] = _is(
    file_bytes(b'{"a":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}', b"")
)
HOSTILE["number_minus_zero_as_offset"] = _is(
    file_bytes(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[-0,4]}}')
)

# Several tensors that do not lie one behind the other: bytes of data, and each one's place.
LAYOUTS: dict[str, tuple[int, list[tuple[int, int]]]] = {
    "the_same_bytes_twice": (4, [(0, 4), (0, 4)]),
    "overlap": (12, [(0, 8), (4, 12)]),
    "one_inside_the_other": (12, [(0, 12), (4, 8)]),
    "hole_in_front": (8, [(4, 8)]),
    "hole_between": (12, [(0, 4), (8, 12)]),
    "hole_at_the_end": (12, [(0, 4), (4, 8)]),
    "last_one_reaches_out": (8, [(0, 4), (4, 12)]),
    "nothing_in_a_hole": (8, [(0, 4), (6, 6)]),
    "nothing_inside_another": (8, [(0, 8), (4, 4)]),
    "nothing_behind_the_end": (4, [(0, 4), (8, 8)]),
}
HOSTILE |= {
    f"layout_{name}": _is(file_bytes(
        {f"t{number}": entry(data_offsets=[start, stop], shape=[(stop - start) // 4])
         for number, (start, stop) in enumerate(layout)},
        bytes(size),
    ))
    for name, (size, layout) in LAYOUTS.items()
}

# Names that do harm where they are printed, or taken for paths.
HOSTILE |= {
    f"name_{name}": _is(file_bytes({text: entry()}))
    for name, text in {
        "empty": "",
        "nul": "lora\0.weight",
        "newline": "lora\n.weight",
        "carriage_return": "lora\r.weight",
        "escape": "\x1b[2Jlora",
        "delete": "lora\x7f",
        "c1_control": "lora\x9b2J",
        "line_separator": "lora\u2028.weight",
        "turned_around": "lora\u202etxt.exe",
        "isolated": "lora\u2066x",
        "climbing": "../../etc/passwd",
        "climbing_on_windows": "..\\..\\system.ini",
        "climbing_inside": "a/../../b",
        "climbing_at_the_end": "a/..",
        "only_dots": "..",
        "long": "a" * 513,
        "very_long": "a" * 1_000_000,
        "lone_surrogate": "a\ud800",
        "reversed_surrogates": "\udc00\ud800",
    }.items()
}

# Metadata that are no strings, and names that stand there twice.
TWO = b'{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
HOSTILE |= {
    f"metadata_{name}": _is(file_bytes({"__metadata__": value, "a": entry()}))
    for name, value in {
        "null": None,
        "a_string": "pt",
        "a_list": ["pt"],
        "a_tensor": entry(),
        "with_a_number": {"a": 1},
        "with_null": {"a": None},
        "with_an_object": {"a": {"b": "c"}},
        "with_a_list": {"a": ["b"]},
        "with_a_lone_surrogate": {"a": "\udfff"},
        "with_a_name_of_a_surrogate": {"\udfff": "a"},
    }.items()
}
HOSTILE |= {
    f"twice_{name}": _is(file_bytes(text))
    for name, text in {
        "a_tensor": b'{"a":' + TWO + b',"a":' + TWO + b"}",
        "a_tensor_elsewhere": b'{"a":' + TWO + b',"a":' + TWO.replace(b"0,4", b"4,8") + b"}",
        "a_tensor_by_escape": b'{"a":' + TWO + rb',"\u0061":' + TWO + b"}",
        "metadata": b'{"__metadata__":{},"__metadata__":{},"a":' + TWO + b"}",
        "metadata_by_escape": rb'{"__metadata__":{},"__metadata\u005f_":{},"a":' + TWO + b"}",
        "in_metadata": b'{"__metadata__":{"a":"1","a":"1"},"a":' + TWO + b"}",
        "dtype": b'{"a":{"dtype":"F32",' + TWO[1:] + b"}",
        "shape": b'{"a":{"shape":[1],' + TWO[1:] + b"}",
        "offsets": b'{"a":{"data_offsets":[0,4],' + TWO[1:] + b"}",
    }.items()
}


# Large headers: they are cheap to make, and must be as cheap to refuse.


@_hostile
def header_over_the_cap() -> bytes:
    return file_bytes(b'{"__metadata__":{"a":"' + b"a" * CAP + b'"}}', b"")


@_hostile
def header_of_spaces() -> bytes:
    return file_bytes(b"{" + b" " * (CAP - 2) + b"]", b"")


@_hostile
def header_of_brackets() -> bytes:
    return file_bytes(b"{" + b"[" * (CAP - 1), b"")


@_hostile
def header_of_empty_lists() -> bytes:
    return file_bytes(b'{"a":[' + b"[]," * 159_000 + b"[]]}", b"")


@_hostile
def header_of_empty_objects() -> bytes:
    return file_bytes(b'{"a":[' + b"{}," * 159_000 + b"{}]}", b"")


@_hostile
def header_of_commas() -> bytes:
    return file_bytes(b'{"a":[' + b"," * 1_000_000, b"")


@_hostile
def header_of_quotes() -> bytes:
    return file_bytes(b"{" + b'"' * 1_999_990, b"")


@_hostile
def header_of_more_quotes() -> bytes:
    return file_bytes(b"{" + b'"' * (CAP - 1), b"")


@_hostile
def header_of_backslashes() -> bytes:
    return file_bytes(b"{" + b"\\" * 1_999_990, b"")


@_hostile
def string_without_end() -> bytes:
    return file_bytes(b'{"' + b"a" * (CAP - 2), b"")


@_hostile
def string_of_escaped_quotes_without_end() -> bytes:
    """Each one looks like the beginning of a string: quadratic for a naive pattern."""
    return file_bytes(b'{"' + rb"\"" * 999_990, b"")


@_hostile
def string_of_backslashes_without_end() -> bytes:
    return file_bytes(b'{"' + b"\\" * 1_999_990, b"")


@_hostile
def wide_string_in_metadata() -> bytes:
    text = b'{"__metadata__":{"a":"' + b"a" * (CAP - 100) + FACE + b'"},"b":1}'
    return file_bytes(text, b"")


@_hostile
def wide_strings_in_metadata() -> bytes:
    value = FACE + b"a" * 42
    items = b",".join(b'"%06d":"%s"' % (number, value) for number in range(230_000))
    return file_bytes(b'{"__metadata__":{' + items + b'},"b":1}', b"")


@_hostile
def wide_string_as_dtype() -> bytes:
    wide = (FACE + b"a" * (CAP - 200)).decode()
    text = json.dumps({"a": entry(dtype=wide)}, ensure_ascii=False)
    return file_bytes(text.encode())


@_hostile
def wide_list_as_dtype() -> bytes:
    wide = (FACE + b"a" * (CAP - 200)).decode()
    text = json.dumps({"a": entry(dtype=[wide])}, ensure_ascii=False)
    return file_bytes(text.encode())


@_hostile
def wide_name() -> bytes:
    wide = (FACE + b"a" * (CAP - 200)).decode()
    return file_bytes(json.dumps({wide: entry()}, ensure_ascii=False).encode())


@_hostile
def wide_name_twice() -> bytes:
    name = b'"' + FACE + b"a" * (CAP // 2 - 100) + b'":'
    return file_bytes(b"{" + name + TWO + b"," + name + TWO + b"}")


@_hostile
def integer_of_16_million_digits() -> bytes:
    return file_bytes(b'{"a":' + b"1" * (CAP - 6) + b"}", b"")


@_hostile
def float_of_16_million_digits() -> bytes:
    return file_bytes(b'{"a":1.' + b"1" * (CAP - 8) + b"}", b"")


@_hostile
def too_many_tensors() -> bytes:
    items = (
        b'"%d":{"dtype":"U8","shape":[],"data_offsets":[%d,%d]}' % (number, number, number + 1)
        for number in range(20_001)
    )
    return file_bytes(b"{" + b",".join(items) + b"}", bytes(20_001))


@_hostile
def twenty_thousand_overlapping_tensors() -> bytes:
    items = (
        b'"%d":{"dtype":"U8","shape":[20000],"data_offsets":[0,20000]}' % number
        for number in range(20_000)
    )
    return file_bytes(b"{" + b",".join(items) + b"}", bytes(20_000))


# Things on the disk, and other kinds of file.


@_on_disk
def no_such_file(folder: Path) -> Path:
    return folder / NAME


@_on_disk
def a_folder(folder: Path) -> Path:
    (folder / NAME).mkdir()
    return folder / NAME


@_on_disk
def inside_of_a_file(folder: Path) -> Path:
    (folder / "file").write_bytes(b"")
    return folder / "file" / NAME


@_on_disk
def link_to_nothing(folder: Path) -> Path:
    return _linked(folder / NAME, folder / "nothing")


@_on_disk
def link_to_itself(folder: Path) -> Path:
    return _linked(folder / NAME, folder / NAME)


def _linked(path: Path, target: Path) -> Path:
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("Windows gives the right to make links to some users only")
    return path


@_on_disk
def pipe(folder: Path) -> Path:
    """Reading it would wait for ever."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs named pipes")
    os.mkfifo(folder / NAME)
    return folder / NAME


@_on_disk
def endless_device(folder: Path) -> Path:
    del folder
    return Path("/dev/zero")


@_on_disk
def name_too_long_for_a_file(folder: Path) -> Path:
    return folder / ("a" * 5000 + ".safetensors")


@_on_disk
def name_with_nul(folder: Path) -> Path:
    return folder / "a\0.safetensors"


@_on_disk
def sparse_terabyte(folder: Path) -> Path:
    """Its header would be the whole file, which no disk could hold."""
    path = folder / NAME
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", (1 << 40) - 8))
        try:
            file.truncate(1 << 40)
        except OSError:
            pytest.skip("the disk has no sparse files of that size")
    return path


class Bomb:
    """A pickle of it leaves a file where it is opened."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.marker), "w")


def _pickled(folder: Path, protocol: int) -> bytes:
    return pickle.dumps({"lora_unet.alpha": Bomb(folder / "exploded")}, protocol=protocol)


def _pickle_file(protocol: int) -> Maker:
    def make(folder: Path) -> Path:
        return _is(_pickled(folder, protocol))(folder)

    return make


HOSTILE |= {f"pickle_of_protocol_{number}": _pickle_file(number) for number in range(6)}


@_on_disk
def pickle_in_a_zip(folder: Path) -> Path:
    """As ``torch.save`` writes it since version 1.6."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", _pickled(folder, 2))
        archive.writestr("archive/version", "3\n")
    return _is(buffer.getvalue())(folder)


@_on_disk
def pickle_of_four_bytes(folder: Path) -> Path:
    return _is(b"\x80\x02N.")(folder)


VALID = file_bytes({"a": entry()})
PICKLE_NAMES = ("x.pt", "x.pth", "x.bin", "x.ckpt", "x.pkl", "x.CKPT", "x.safetensors.Pt")
HOSTILE |= {f"file_called_{name}": _is(VALID, name) for name in PICKLE_NAMES}
