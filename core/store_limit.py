"""Keeping a store below a size: what was used longest ago goes first.

When an entry was last used is its modification time: what is in it never changes. Several runs
may use one store, and each of them may clear it. An entry that vanishes under a run is computed
again, and one that is being read stays readable until it is closed.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .atomic import TEMPORARY_SUFFIX

CLEAR_TO = 0.9
"""Of the limit, so that not every further entry means looking through them all."""
ABANDONED_S = 3600.0
"""A temporary file that old is what a killed process left."""
FRESH_S = 600.0
"""Uses within this time of each other need not be told apart, which saves writing."""
_SHARD = re.compile(r"[0-9a-f]{2}")
_ENTRY = re.compile(r"[0-9a-f]{64}\.safetensors")


@dataclass(frozen=True)
class _Entry:
    used_s: float
    path: str
    size_bytes: int


def mark_used(path: Path) -> None:
    """Note that an entry was used now."""
    # Another process may have cleared it away, or may not allow it to be touched.
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime > FRESH_S:
            os.utime(path)


def clear(root: Path, limit_bytes: int) -> int:
    """Remove the entries used longest ago if all are together larger than the limit.

    Only files that are named as entries are touched, and temporary files that were left behind;
    other stores in folders below are not.

    Returns:
        Bytes that are left.
    """
    entries = list(_entries(root))
    left = sum(entry.size_bytes for entry in entries)
    if left <= limit_bytes:
        return left
    for entry in sorted(entries, key=lambda entry: (entry.used_s, entry.path)):
        if left <= limit_bytes * CLEAR_TO:
            break
        # Gone already, or on Windows being read just now.
        with contextlib.suppress(OSError):
            os.unlink(entry.path)
            left -= entry.size_bytes
    return left


def _entries(root: Path) -> Iterator[_Entry]:
    """Every entry with size and time; abandoned temporary files are removed on the way."""
    for shard in _listed(root):
        if not _SHARD.fullmatch(shard.name) or not shard.is_dir(follow_symlinks=False):
            continue
        for file in _listed(shard.path):
            with contextlib.suppress(OSError):  # Cleared by another process meanwhile.
                stat = file.stat(follow_symlinks=False)
                if _ENTRY.fullmatch(file.name):
                    yield _Entry(stat.st_mtime, file.path, stat.st_size)
                elif _is_abandoned(file.name, stat.st_mtime):
                    os.unlink(file.path)


def _is_abandoned(name: str, written_s: float) -> bool:
    return name.endswith(TEMPORARY_SUFFIX) and time.time() - written_s > ABANDONED_S


def _listed(folder: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except FileNotFoundError:
        return []
