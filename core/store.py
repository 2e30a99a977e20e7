"""A content-addressed store of tensors on disk: what was computed once is read ever after.

The key is made of everything that determines the value, so nothing in it is ever stale and no
entry needs to be deleted for correctness. An unreadable entry is computed again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from . import atomic
from .settings import digest

Tensors = dict[str, torch.Tensor]


class TensorStore:
    """Tensors by key under one folder, two levels deep so that no folder grows huge."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        """Where the entry of this key stands, whether it exists or not."""
        return self.root / key[:2] / f"{key}.safetensors"

    def get_or_make(self, ingredients: Any, make: Callable[[], Tensors]) -> Tensors:
        """Return the stored tensors of these ingredients, or make and store them.

        Args:
            ingredients: JSON value of everything that determines the result.
            make: computes it; called only on a miss.
        """
        path = self.path(digest(ingredients))
        stored = self._read(path)
        if stored is not None:
            return stored
        value = make()
        atomic.write_tensors(path, value)
        return {name: tensor.detach().cpu().contiguous() for name, tensor in value.items()}

    def _read(self, path: Path) -> Tensors | None:
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            return load(path.read_bytes())
        except FileNotFoundError:
            return None
        except SafetensorError:
            # A damaged cache entry holds nothing that cannot be computed again.
            path.unlink(missing_ok=True)
            return None
