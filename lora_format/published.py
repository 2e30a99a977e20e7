"""A LoRA file that stands where the stock loader finds it. It is never rewritten."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch

from ..core import atomic
from ..core.errors import LoraFormatError
from ..core.tensor_stream import DTYPE_NAMES, data_hash
from .header import read_header


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
    free = path
    number = 1
    while free.exists():
        if _holds(free, tensors, content):
            return free
        number += 1
        free = path.with_name(f"{path.stem}-v{number}{path.suffix}")
    atomic.write_tensors(free, tensors, {**metadata, "sshs_model_hash": content})
    return free


def _holds(path: Path, tensors: Mapping[str, torch.Tensor], content: str) -> bool:
    """Whether a file has these tensors under these names; metadata do not count."""
    try:
        entries = read_header(path).entries
    except LoraFormatError:
        return False  # No safetensors file at all: whatever it is, it is not ours.
    described = {key: (entry.dtype, entry.shape) for key, entry in entries.items()}
    wanted = {key: (DTYPE_NAMES[t.dtype], tuple(t.shape)) for key, t in tensors.items()}
    return described == wanted and data_sha256(path) == content


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
