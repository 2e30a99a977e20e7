"""One entry of a store: a safetensors file that knows its key and the checksum of its tensors.

The format itself has no checksum: a bit that flipped within a tensor would be trained on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from . import atomic
from .tensor_stream import data_blocks, header_bytes

KEY, CHECKSUM = "kiln_key", "kiln_checksum"
_LENGTH_BYTES = 8
_METADATA = "__metadata__"


class DamagedEntry(Exception):
    """The file is not what was written."""


def write_entry(path: Path, key: str, tensors: Mapping[str, torch.Tensor]) -> int:
    """Write an entry atomically; returns its size in bytes."""
    layout = _layout(header_bytes(tensors, {}))
    checksum = _checksum(layout, data_blocks(tensors))
    atomic.write_tensors(path, tensors, {KEY: key, CHECKSUM: checksum}, durable=False)
    return path.stat().st_size


def read_entry(path: Path, key: str) -> dict[str, torch.Tensor]:
    """The tensors of an entry, on the CPU.

    Entries from before there were checksums have no metadata at all; those are still read.

    Raises:
        FileNotFoundError: there is none.
        DamagedEntry: it is cut, altered, or stands under another key's name.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = path.read_bytes()
    try:
        tensors: dict[str, torch.Tensor] = load(data)
        layout = _layout(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DamagedEntry(str(error)) from error
    metadata = layout.pop(_METADATA, None)
    if metadata is None:
        return tensors
    body = memoryview(data)[_body_at(data) :]
    if metadata != {KEY: key, CHECKSUM: _checksum(layout, [body])}:
        raise DamagedEntry("the checksum differs")
    return tensors


def _body_at(data: bytes) -> int:
    return _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")


def _layout(data: bytes) -> dict[str, Any]:
    """The header: names, types, shapes and places of the tensors, and metadata."""
    layout: dict[str, Any] = json.loads(data[_LENGTH_BYTES : _body_at(data)])
    return layout


def _checksum(layout: Mapping[str, Any], blocks: Iterable[bytes | memoryview]) -> str:
    text = json.dumps(layout, sort_keys=True, separators=(",", ":"))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()
