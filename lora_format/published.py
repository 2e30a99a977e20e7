"""A LoRA file that stands where the stock loader finds it. It is never rewritten."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import BinaryIO

import torch

from ..core import atomic
from ..core.errors import LoraFormatError
from ..core.tensor_stream import DTYPE_NAMES, data_hash
from .header import read_header
from .scales import METADATA_KEY


@dataclass(frozen=True, kw_only=True)
class PublishedLora:
    """A finished LoRA file.

    Attributes:
        path: the file.
        loader_name: its name in the stock loader's list.
        sha256: of the whole file.
        family: what kind of model it is for.
        rank: largest rank in it.
    """

    path: Path
    loader_name: str
    sha256: str
    family: str
    rank: int


def publish(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
) -> Path:
    """Write the file, unless the same one stands there; a different one gets another name.

    The stock loader keys its cache by path and would go on serving yesterday's tensors, so a
    path that was once published keeps its content for ever.
    """
    content = data_hash(tensors)
    for free in versions(path):
        if not free.exists():
            break
        if holds(free, tensors, metadata, content):
            return free
    atomic.write_tensors(free, tensors, {**metadata, "sshs_model_hash": content})
    return free


def versions(path: Path) -> Iterator[Path]:
    """Names for different contents: the path itself, then with ``-v2`` and so on behind it."""
    yield path
    for number in count(2):
        yield path.with_name(f"{path.stem}-v{number}{path.suffix}")


def holds(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str], content: str
) -> bool:
    """Whether a file has these tensors under these names, and the same scales for them.

    Args:
        path: the file.
        tensors: what it shall hold.
        metadata: of these only diffusers' scales count, which belong to the content.
        content: hash of the tensors.
    """
    try:
        header = read_header(path)
    except LoraFormatError:
        return False  # No safetensors file at all: whatever it is, it is not ours.
    described = {key: (entry.dtype, entry.shape) for key, entry in header.entries.items()}
    wanted = {key: (DTYPE_NAMES[t.dtype], tuple(t.shape)) for key, t in tensors.items()}
    scales = [found.get(METADATA_KEY) for found in (header.metadata, metadata)]
    return described == wanted and scales[0] == scales[1] and data_sha256(path) == content


def data_sha256(path: Path) -> str:
    """SHA-256 of a safetensors file's bytes after its header."""
    with open(path, "rb") as file:
        file.seek(int.from_bytes(file.read(8), "little"), 1)
        return _hash_rest(file)


def file_sha256(path: Path) -> str:
    """SHA-256 of a whole file, as 64 hex digits."""
    with open(path, "rb") as file:
        return _hash_rest(file)


def _hash_rest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
