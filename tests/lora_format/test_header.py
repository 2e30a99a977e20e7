"""Headers of files from strangers: what is refused, how cheaply, and what is read as it is."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch

from lora_kiln.core.errors import LoraFormatError
from lora_kiln.lora_format.header import DTYPE_BITS, Header, read_header
from lora_kiln.tests.lora_format import hostile

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 1.0
LIMIT_BYTES = 256 << 20


@pytest.mark.parametrize("name", hostile.HOSTILE)
def test_hostile_files_are_refused(name: str, tmp_path: Path) -> None:
    path = hostile.HOSTILE[name](tmp_path)
    start = time.process_time()
    with pytest.raises(LoraFormatError) as caught:
        read_header(path)
    assert time.process_time() - start < LIMIT_S
    text = str(caught.value).replace(path.name, "")
    assert len(text) < 800 and text.isprintable()
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "name",
    [name for name in hostile.HOSTILE if name.startswith(("pickle_", "file_called_"))
     and not name.endswith(("protocol_0", "protocol_1"))],  # those begin like any text
)
def test_pickles_are_called_so(name: str, tmp_path: Path) -> None:
    path = hostile.HOSTILE[name](tmp_path)
    with pytest.raises(LoraFormatError, match=r"pickle file.*weights_only=True"):
        read_header(path)


MEASURED = """
import importlib.util, json, resource, sys
from pathlib import Path

root, folder, room = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
spec = importlib.util.spec_from_file_location("load_pack", root / "devtools" / "load_pack.py")
loader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(loader)
loader.load_pack()
from lora_kiln.core.errors import LoraFormatError
from lora_kiln.lora_format.header import read_header

assert "torch" not in sys.modules
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room,) * 2)
outcome = {}
for path in sorted(folder.glob("*/*.safetensors")):
    try:
        read_header(path)
        outcome[path.parent.name] = "accepted"
    except LoraFormatError:
        outcome[path.parent.name] = "refused"
    except BaseException as error:
        outcome[path.parent.name] = repr(error)[:200]
print(json.dumps(outcome))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on memory")
def test_large_headers_take_little_memory(tmp_path: Path) -> None:
    """In a process that is allowed no more than the limit."""
    names = [name for name in hostile.HOSTILE if name.startswith(LARGE)]
    for name in names:
        (tmp_path / name).mkdir()
        hostile.HOSTILE[name](tmp_path / name)
    for name, content in LARGE_AND_VALID.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / hostile.NAME).write_bytes(content())
    command = [sys.executable, "-c", MEASURED, str(ROOT), str(tmp_path), str(LIMIT_BYTES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        **dict.fromkeys(names, "refused"), **dict.fromkeys(LARGE_AND_VALID, "accepted")
    }


LARGE = (
    "header_", "string_", "wide_", "integer_", "float_", "too_many", "twenty_", "number_of_",
    "deep_",
)


def _one_large_text() -> bytes:
    text = b"a" * (hostile.CAP - 100) + hostile.FACE
    return hostile.file_bytes(b'{"__metadata__":{"a":"' + text + b'"}}', b"")


def _escaped_quotes() -> bytes:
    return hostile.file_bytes(b'{"__metadata__":{"a":"' + rb"\"" * 999_000 + b'"}}', b"")


def _as_many_tensors_as_may_be() -> bytes:
    name = b"lora_unet_input_blocks_7_1_transformer_blocks_0_attn1_to_q.%d.weight"
    items = (
        b'"' + name % number + b'":{"dtype":"F16","shape":[1,1],"data_offsets":[%d,%d]}'
        % (2 * number, 2 * number + 2)
        for number in range(20_000)
    )
    return hostile.file_bytes(b"{" + b",".join(items) + b"}", bytes(40_000))


def _tag_statistics() -> bytes:
    """Kohya's, as a file of two megabytes has them."""
    tags = {f"a tag of the number {number}": number for number in range(50_000)}
    text = json.dumps({"1_x": tags})
    return hostile.file_bytes({"__metadata__": {"ss_tag_frequency": text}}, b"")


LARGE_AND_VALID = {
    "one_large_text": _one_large_text,
    "escaped_quotes": _escaped_quotes,
    "many_tensors": _as_many_tensors_as_may_be,
    "tag_statistics": _tag_statistics,
}


@pytest.mark.parametrize("name", LARGE_AND_VALID)
def test_large_and_valid(name: str, tmp_path: Path) -> None:
    path = tmp_path / hostile.NAME
    path.write_bytes(LARGE_AND_VALID[name]())
    start = time.process_time()
    read_header(path)
    assert time.process_time() - start < LIMIT_S
    assert_reads_alike(path)


def two(first: bytes, second: bytes) -> bytes:
    return b'{"a":' + first + b',"b":' + second + b"}"


FIRST, SECOND = hostile.TWO, hostile.TWO.replace(b"[0,4]", b"[4,8]")
VALID: dict[str, bytes] = {
    "no_tensors": hostile.file_bytes(b"{}", b""),
    "no_tensors_but_metadata": hostile.file_bytes({"__metadata__": {"a": "b"}}, b""),
    "metadata_empty": hostile.file_bytes({"__metadata__": {}, "a": hostile.entry()}),
    "metadata_at_the_end": hostile.file_bytes({"a": hostile.entry(), "__metadata__": {"a": "b"}}),
    "metadata_named_by_escape": hostile.file_bytes(rb'{"__metadata\u005f_":{"a":"b"}}', b""),
    "metadata_unicode": hostile.file_bytes(
        {"__metadata__": {"größe": "猫\n\t\0\x1b", "": ""}, "a": hostile.entry()}
    ),
    "metadata_raw_unicode": hostile.file_bytes('{"__metadata__":{"ü":"猫"}}'.encode(), b""),
    "one_number": hostile.file_bytes({"a": hostile.entry(shape=[])}),
    "nothing_in_it": hostile.file_bytes({"a": hostile.entry(shape=[0], data_offsets=[0, 0])}, b""),
    "nothing_by_nothing": hostile.file_bytes(
        {"a": hostile.entry(shape=[3, 0, 5], data_offsets=[0, 0])}, b""
    ),
    "nothing_between": hostile.file_bytes(
        {"a": hostile.entry(), "n": hostile.entry(shape=[0], data_offsets=[4, 4]),
         "b": hostile.entry(data_offsets=[4, 8])}, b"00001111",
    ),
    "eight_dimensions": hostile.file_bytes({"a": hostile.entry(shape=[1] * 8)}),
    "spaces_behind": hostile.file_bytes(json.dumps({"a": hostile.entry()}).encode() + b" " * 9),
    "lines_behind": hostile.file_bytes(json.dumps({"a": hostile.entry()}).encode() + b"\n\t\r "),
    "indented": hostile.file_bytes(json.dumps({"a": hostile.entry()}, indent=4).encode()),
    "in_order": hostile.file_bytes(two(FIRST, SECOND), b"00001111"),
    "in_reverse": hostile.file_bytes(two(SECOND, FIRST), b"00001111"),
    "fields_in_another_order": hostile.file_bytes(
        b'{"a":{"data_offsets":[0,4],"shape":[1],"dtype":"F32"}}'
    ),
    "name_of_a_face": hostile.file_bytes(rb'{"\ud83d\ude00":' + hostile.TWO + b"}"),
    "name_in_utf8": hostile.file_bytes('{"猫.lora_A.weight":'.encode() + hostile.TWO + b"}"),
    "name_with_escapes": hostile.file_bytes(rb'{"a\"\\\/b.c":' + hostile.TWO + b"}"),
    "name_with_dots": hostile.file_bytes({"a...b..": hostile.entry()}),
    "name_with_spaces": hostile.file_bytes({"bundle_emb.my trigger.clip_l": hostile.entry()}),
    "name_of_512": hostile.file_bytes({"a" * 512: hostile.entry()}),
    "metadata_ending_in_a_backslash": hostile.file_bytes(
        {"__metadata__": {"a": "C:\\", "b": "[[[[[[", "c": '\\"[[[[[['}, "a": hostile.entry()}
    ),
    "metadata_like_headers": hostile.file_bytes(
        {"__metadata__": {"a": '{"a":[[[[[[1e5,NaN,-0'}, "a": hostile.entry()}
    ),
    **{
        # Their first bytes are those of a pickle: 80 02, 80 03, 80 04, 80 05.
        f"header_of_{length}_bytes": hostile.file_bytes(
            json.dumps({"a": hostile.entry()}).encode().ljust(length)
        )
        for length in (0x280, 0x380, 0x480, 0x580, 0x10280)
    },
    **{
        f"dtype_{dtype}": hostile.file_bytes(
            {"a": hostile.entry(dtype=dtype, shape=[2, 3], data_offsets=[0, 6 * bits // 8])},
            bytes(range(6 * bits // 8)),
        )
        for dtype, bits in DTYPE_BITS.items()
    },
}


@pytest.mark.parametrize("name", VALID)
def test_valid_files_are_read_as_safetensors_reads_them(name: str, tmp_path: Path) -> None:
    path = tmp_path / hostile.NAME
    path.write_bytes(VALID[name])
    assert_reads_alike(path)


def test_a_file_by_safetensors_itself(tmp_path: Path) -> None:
    path = tmp_path / hostile.NAME
    tensors = {
        "b": torch.arange(6, dtype=torch.float16).reshape(2, 3),
        "a": torch.tensor(3.0),
        "c": torch.zeros(0, 4, dtype=torch.bfloat16),
        "d": torch.tensor([True, False, True]),
    }
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
    header = assert_reads_alike(path)
    assert header.metadata == {"format": "pt"}
    assert {key: entry.shape for key, entry in header.entries.items()} == {
        "a": (), "b": (2, 3), "c": (0, 4), "d": (3,)
    }


def assert_reads_alike(path: Path) -> Header:
    """Our entries are those of safetensors: names, dtypes, shapes, and the very bytes."""
    content = path.read_bytes()
    header = read_header(path)
    theirs: dict[str, dict[str, Any]] = dict(safetensors.deserialize(content))
    start = len(content) - header.data_bytes
    ours = {
        key: {
            "dtype": entry.dtype,
            "shape": list(entry.shape),
            "data": content[start + entry.start_bytes: start + entry.stop_bytes],
        }
        for key, entry in header.entries.items()
    }
    assert ours == {key: {**value, "data": bytes(value["data"])} for key, value in theirs.items()}
    with safetensors.safe_open(str(path), framework="pt") as file:
        assert dict(header.metadata) == (file.metadata() or {})
        assert set(header.entries) == set(file.keys())
    return header
