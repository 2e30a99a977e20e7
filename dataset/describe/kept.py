"""Answers that were given once, on disk: one small JSON file each, by the hash of the question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...core import atomic
from ...core.settings import digest


class KeptAnswers:
    """Answers under one folder.

    Args:
        root: where they are kept; None keeps nothing.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root

    def get(self, ingredients: Any) -> dict[str, Any] | None:
        """The stored answer; None where there is none, or where it is damaged."""
        if self._root is None:
            return None
        try:
            value = json.loads(self._path(self._root, ingredients).read_text("utf-8"))
        except (FileNotFoundError, UnicodeDecodeError, json.JSONDecodeError):
            # A damaged entry holds nothing that cannot be asked again, and is then overwritten.
            return None
        return value if isinstance(value, dict) else None

    def put(self, ingredients: Any, value: dict[str, Any]) -> None:
        """Store an answer."""
        if self._root is not None:
            atomic.write_json(self._path(self._root, ingredients), value)

    @staticmethod
    def _path(root: Path, ingredients: Any) -> Path:
        key = digest(ingredients)
        return root / key[:2] / f"{key}.json"
