"""A content-addressed store of tensors on disk: what was computed once is read ever after.

The key is made of everything that determines the value, so nothing in it is ever stale and no
entry needs to be deleted for correctness. A damaged entry is computed again, and so is one that
had to make room: the store is kept below a size. Any number of processes may share one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .settings import digest
from .store_entry import DamagedEntry, read_entry, write_entry
from .store_limit import clear, mark_used

Tensors = dict[str, torch.Tensor]
LIMIT_BYTES = 20 * 10**9
"""About 40,000 SDXL pictures of 1024² with their captions."""
_LOOK_EVERY = 64
"""The store is looked through whenever a process wrote this part of the limit."""


class TensorStore:
    """Tensors by key under one folder, two levels deep so that no folder grows huge.

    Args:
        root: the folder.
        limit_bytes: how large the entries may become together; what was used longest ago is
            removed. Every process that writes may exceed it by a 64th.
    """

    def __init__(self, root: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self.root = root
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        # As if much had been written: what earlier processes left over is cleared at once.
        self._unseen_bytes = limit_bytes

    def path(self, key: str) -> Path:
        """Where the entry of this key stands, whether it exists or not."""
        return self.root / key[:2] / f"{key}.safetensors"

    def get_or_make(self, ingredients: Any, make: Callable[[], Tensors]) -> Tensors:
        """Return the stored tensors of these ingredients, or make and store them.

        Args:
            ingredients: JSON value of everything that determines the result.
            make: computes it; called only on a miss.
        """
        key = digest(ingredients)
        stored = self._read(key)
        if stored is not None:
            return stored
        value = make()
        self._write(key, value)
        return {name: tensor.detach().cpu().contiguous() for name, tensor in value.items()}

    def _read(self, key: str) -> Tensors | None:
        path = self.path(key)
        try:
            tensors = read_entry(path, key)
        except FileNotFoundError:
            return None
        except DamagedEntry:
            # It holds nothing that cannot be computed again, and is replaced then. It stays
            # until that: another process may have mended it by now.
            return None
        mark_used(path)
        return tensors

    def _write(self, key: str, value: Tensors) -> None:
        path = self.path(key)
        try:
            size = write_entry(path, key, value)
        except PermissionError:
            # On Windows a file that another run reads cannot be replaced; it has the same in it.
            if self._read(key) is None:
                raise
            return
        except FileNotFoundError:
            return  # Cleared by another run between writing and looking at it.
        with self._lock:
            self._unseen_bytes += size
            if self._unseen_bytes < self._limit_bytes / _LOOK_EVERY:
                return
            self._unseen_bytes = 0
        clear(self.root, self._limit_bytes)
