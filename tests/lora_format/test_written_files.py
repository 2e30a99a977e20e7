"""Files as we write them: whole for safetensors' own loader, aligned, and never rewritten."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_kiln.core import atomic
from lora_kiln.core.tensor_stream import (
    ALIGNMENT_BYTES,
    DTYPE_NAMES,
    data_blocks,
    data_hash,
    header_bytes,
    ordered_names,
)
from lora_kiln.lora_format.header import DTYPE_BITS, parse_header, read_header
from lora_kiln.lora_format.proof import same
from lora_kiln.lora_format.published import data_sha256, file_sha256, publish
from lora_kiln.lora_format.tensors import TORCH_DTYPES, TensorFile

SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (3,), (0,), (2, 0, 3), (5, 7), (2, 3, 3, 3))
Tensors = dict[str, torch.Tensor]


def noise(dtype: torch.dtype, shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    """Any bytes at all, with NaN among them; only what is a truth value for bool."""
    generator = torch.Generator().manual_seed(seed)
    top = 2 if dtype is torch.bool else 256
    size = dtype.itemsize * torch.Size(shape).numel()
    raw = torch.randint(0, top, (size,), dtype=torch.uint8, generator=generator)
    return raw.view(dtype).reshape(shape)


def assert_file_holds(path: Path, tensors: Tensors, metadata: dict[str, str]) -> None:
    """For safetensors, and for our own reader, a file is what was written."""
    assert_same_tensors(safetensors.torch.load_file(path), tensors)
    assert_same_tensors(dict(TensorFile(path)), tensors)
    with safetensors.safe_open(str(path), framework="pt") as file:
        assert (file.metadata() or {}) == metadata == read_header(path).metadata


def assert_same_tensors(found: Tensors, wanted: Tensors) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert same(found[name], tensor.detach()), name


def assert_aligned(path: Path) -> None:
    header = read_header(path)
    start = path.stat().st_size - header.data_bytes
    assert start % ALIGNMENT_BYTES == 0
    for name, entry in header.entries.items():
        assert (start + entry.start_bytes) % (DTYPE_BITS[entry.dtype] // 8) == 0, name


@pytest.mark.parametrize("dtype", DTYPE_NAMES)
def test_every_dtype_and_shape(dtype: torch.dtype, tmp_path: Path) -> None:
    tensors = {f"t{shape}": noise(dtype, shape) for shape in SHAPES}
    path = tmp_path / "x.safetensors"
    atomic.write_tensors(path, tensors, {"a": "b"})
    assert_file_holds(path, tensors, {"a": "b"})
    assert_aligned(path)


def test_all_dtypes_in_one_file(tmp_path: Path) -> None:
    tensors = {
        f"{DTYPE_NAMES[dtype]}.{shape}": noise(dtype, shape)
        for dtype in DTYPE_NAMES for shape in SHAPES
    }
    path = tmp_path / "x.safetensors"
    atomic.write_tensors(path, tensors)
    assert_file_holds(path, tensors, {})
    assert_aligned(path)


def test_what_is_written_can_be_read() -> None:
    assert {dtype: name for name, dtype in TORCH_DTYPES.items()} == DTYPE_NAMES
    assert set(DTYPE_NAMES.values()) <= set(DTYPE_BITS)
    for dtype, name in DTYPE_NAMES.items():
        assert DTYPE_BITS[name] == 8 * dtype.itemsize


@pytest.mark.parametrize("tensors", [{}, {"a": torch.zeros(0)}, {"a": torch.tensor(1.0)}])
def test_small_files(tensors: Tensors, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    atomic.write_tensors(path, tensors, {"größe": '猫 "\\\n\0'})
    assert_file_holds(path, tensors, {"größe": '猫 "\\\n\0'})


def test_views_are_written_by_value(tmp_path: Path) -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    tensors = {
        "transposed": whole.T,
        "every_other": whole[::2, 1::3],
        "expanded": torch.tensor([1.0, 2.0]).expand(3, 2),
        "trained": whole.clone().requires_grad_(),
        "channels_last": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "part": whole.to(torch.bfloat16)[1:, 2],
    }
    path = tmp_path / "x.safetensors"
    atomic.write_tensors(path, tensors)
    assert_file_holds(path, tensors, {})


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Zl", "Zp")), min_size=1,
    max_size=20,
).filter(lambda name: ".." not in name and name != "__metadata__")
NOISE = st.builds(
    noise, st.sampled_from(tuple(DTYPE_NAMES)), st.sampled_from(SHAPES), st.integers(0, 9)
)
TENSORS = st.dictionaries(NAMES, NOISE, max_size=6)
TEXT = st.text(st.characters(codec="utf-8"))
METADATA = st.dictionaries(TEXT, TEXT, max_size=4)


@settings(max_examples=150, deadline=None)
@given(TENSORS, METADATA)
def test_headers_are_what_safetensors_accepts(tensors: Tensors, metadata: dict[str, str]) -> None:
    head = header_bytes(tensors, metadata)
    data = b"".join(bytes(block) for block in data_blocks(tensors))
    found = dict(safetensors.deserialize(head + data))
    assert found.keys() == tensors.keys()
    header = parse_header(head[8:], len(data), "x")
    assert dict(header.metadata) == metadata
    for name, tensor in tensors.items():
        entry = header.entries[name]
        kind = (DTYPE_NAMES[tensor.dtype], list(tensor.shape))
        assert kind == (found[name]["dtype"], found[name]["shape"])
        assert kind == (entry.dtype, list(entry.shape))
        assert found[name]["data"] == data[entry.start_bytes: entry.stop_bytes]
    assert list(header.entries) == ordered_names(tensors)


def test_header_is_padded_with_spaces() -> None:
    for length in range(9):
        head = header_bytes({"a" * (length + 1): torch.zeros(1)}, {})
        assert len(head) % ALIGNMENT_BYTES == 0
        assert struct.unpack("<Q", head[:8])[0] == len(head) - 8
        assert head[8:].rstrip(b" ").endswith(b"}")


def test_published_files(tmp_path: Path) -> None:
    """One content has one path; another content never takes it."""
    tensors = {"b": noise(torch.float16, (5, 7)), "a": noise(torch.float32, ())}
    target = tmp_path / "folder" / "x.safetensors"
    path = publish(target, tensors, {"ss_network_dim": "4"})
    content = data_hash(tensors)
    assert path == target
    assert_file_holds(path, tensors, {"ss_network_dim": "4", "sshs_model_hash": content})
    assert data_sha256(path) == content
    assert file_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    before = path.read_bytes()
    assert publish(target, tensors, {"ss_network_dim": "5"}) == path
    assert path.read_bytes() == before
    others = [
        {"b": tensors["b"], "c": tensors["a"]},  # the same bytes under another name
        {"b": tensors["b"].reshape(7, 5), "a": tensors["a"]},
        {"b": tensors["b"].view(torch.bfloat16), "a": tensors["a"]},
        {"b": tensors["b"] * 2, "a": tensors["a"]},
    ]
    for number, other in enumerate(others, start=2):
        assert publish(target, other, {}).name == f"x-v{number}.safetensors"
        assert publish(target, other, {}).name == f"x-v{number}.safetensors"
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\xff" * 100, bytes(8)])
def test_publishing_spares_files_that_are_none_of_ours(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    path = publish(tmp_path / "x.safetensors", {"a": torch.ones(2)}, {})
    assert path.name == "x-v2.safetensors"
    assert (tmp_path / "x.safetensors").read_bytes() == content
