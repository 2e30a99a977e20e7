"""A LoRA file that stands where the stock loader finds it. It is never rewritten."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from ..core import atomic


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


def tensor_hash(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of the bytes after the header, ``sshs_model_hash`` in Kohya's metadata."""
    from safetensors.torch import save

    data = save({name: value.cpu().contiguous() for name, value in tensors.items()})
    header_bytes = int.from_bytes(data[:8], "little") + 8
    return hashlib.sha256(data[header_bytes:]).hexdigest()


def publish(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
) -> Path:
    """Write the file, unless the same one stands there; a different one gets another name.

    The stock loader keys its cache by path and would go on serving yesterday's tensors, so a
    path that was once published keeps its content for ever.
    """
    content = tensor_hash(tensors)
    free = path
    number = 1
    while free.exists():
        if _content_of(free) == content:
            return free
        number += 1
        free = path.with_name(f"{path.stem}-v{number}{path.suffix}")
    atomic.write_tensors(free, tensors, {**metadata, "sshs_model_hash": content})
    return free


def _content_of(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        if header_bytes > path.stat().st_size:
            return ""  # No safetensors file at all: whatever it is, it is not ours.
        file.seek(header_bytes, 1)
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a whole file, as 64 hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
