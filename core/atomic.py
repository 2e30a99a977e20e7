"""Files appear whole or not at all.

Temporary file in the same folder, fsync, rename, fsync of the folder. A killed process leaves
the old content or the new one, and at most a ``.tmp`` file that the next start sweeps away.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from .tensor_stream import data_blocks, header_bytes

TEMPORARY_SUFFIX = ".kiln-tmp"


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically; its mode follows the umask as for any new file."""
    write_blocks(path, [data])


def write_blocks(
    path: Path, blocks: Iterable[bytes | memoryview], *, durable: bool = True
) -> None:
    """Write a file atomically, block by block.

    Args:
        path: where it shall stand.
        blocks: its content.
        durable: wait until it is on the disk. Only for what can be made again, and shows by
            itself that it is damaged, may a power failure leave an empty file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not made of the target's name, which may already be as long as the system allows.
    temporary = path.with_name(f".{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")
    try:
        with open(temporary, "xb") as file:
            for block in blocks:
                file.write(block)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, readable for people and stable for diffs."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def write_tensors(
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    metadata: Mapping[str, str] | None = None,
    *,
    durable: bool = True,
) -> None:
    """Write a safetensors file atomically.

    Args:
        path: where it shall stand.
        tensors: name to tensor; each is brought to the CPU and made contiguous.
        metadata: strings for the header.
        durable: see :func:`write_blocks`.
    """
    header = header_bytes(tensors, metadata or {})
    write_blocks(path, chain([header], data_blocks(tensors)), durable=durable)


def append_line(path: Path, line: str) -> None:
    """Append one line and see it to the disk; a torn last line is what a kill may leave."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a rename durable. Windows has no handle for folders, so nothing is done there."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep_temporaries(folder: Path, *, older_than_s: float = 0.0) -> int:
    """Remove what a killed process left behind; returns how many files.

    Args:
        folder: with all below it.
        older_than_s: leaves younger ones, where another process may be writing just now.
    """
    count = 0
    for path in folder.rglob(f"*{TEMPORARY_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime >= older_than_s:
                path.unlink()
                count += 1
    return count
