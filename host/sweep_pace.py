"""How fast this machine drew with a model before, so that a sweep can say how long it will take."""

from __future__ import annotations

import json
from pathlib import Path

from ..core import atomic

KEPT = 256
"""Models; those measured longest ago are forgotten."""


class PaceMemory:
    """Seconds per unit of work by model, in one small file.

    Args:
        path: the file; what cannot be read is begun anew, since it only estimates.
        key: of the model and the machine.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key

    def recall(self) -> float | None:
        """The pace of the last sweep."""
        pace = self._read().get(self._key)
        return pace if isinstance(pace, float) and pace > 0 else None

    def keep(self, pace: float) -> None:
        """Remember the pace of this one."""
        known = {key: value for key, value in self._read().items() if key != self._key}
        known[self._key] = pace
        newest = list(known.items())[-KEPT:]
        atomic.write_text(self._path, json.dumps(dict(newest)))

    def _read(self) -> dict[str, object]:
        try:
            known = json.loads(self._path.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}
