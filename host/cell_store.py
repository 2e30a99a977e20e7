"""Finished cells on disk, under a key made of everything that decides their picture.

Nothing in it is ever stale: another model, LoRA, prompt, seed or version is another key. So a
sweep that was cancelled, killed or widened draws only what is missing. Each cell is one PNG, the
record of how it was drawn among its text chunks, and appears whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from ..core import atomic
from ..sweep.cell_settings import CellSettings

CHUNK = "kiln_stored_cell"
STALE_S = 3600.0
QUICK = 1
"""Compression level; writing happens between batches."""


@dataclass(frozen=True)
class StoredCell:
    """A finished cell.

    Attributes:
        path: its picture.
        record: how it was drawn.
    """

    path: Path
    record: Mapping[str, Any]


class CellStore:
    """Cells by settings and way of drawing.

    Args:
        root: folder, two levels deep so that none grows huge.
        key_of: settings and way -> 64 hex digits.
    """

    def __init__(self, root: Path, key_of: Callable[[CellSettings, str], str]) -> None:
        self._root, self._key_of = root, key_of
        self._seen: dict[str, StoredCell] = {}
        # Of killed sweeps; another server may be writing here as well.
        atomic.sweep_temporaries(root, older_than_s=STALE_S)

    def find(self, settings: CellSettings, way: str) -> StoredCell | None:
        """The finished cell, or None; a damaged file is thrown away and drawn again."""
        key = self._key_of(settings, way)
        path = self._path(key)
        if key in self._seen and path.is_file():
            return self._seen[key]
        try:
            record = _read_record(path, key)
        except FileNotFoundError:
            return None
        if record is None:
            path.unlink(missing_ok=True)
            return None
        # Reading all of a large sweep takes seconds, and a sweep asks twice.
        self._seen[key] = StoredCell(path, record)
        return self._seen[key]

    def put(
        self, settings: CellSettings, way: str, picture: Image.Image, record: Mapping[str, Any]
    ) -> StoredCell:
        """Keep a finished cell."""
        key = self._key_of(settings, way)
        info = PngImagePlugin.PngInfo()
        info.add_text(CHUNK, json.dumps({"key": key, "record": dict(record)}))
        buffer = BytesIO()
        picture.save(buffer, "PNG", pnginfo=info, compress_level=QUICK)
        path = self._path(key)
        atomic.write_bytes(path, buffer.getvalue())
        return StoredCell(path, dict(record))

    def _path(self, key: str) -> Path:
        return self._root / key[:2] / f"{key}.png"


def _read_record(path: Path, key: str) -> Mapping[str, Any] | None:
    """None for a file that is not whole or is not this cell."""
    data = path.read_bytes()
    try:
        with Image.open(BytesIO(data)) as picture:
            text = picture.info.get(CHUNK, "{}")
            # Checks the sums of all chunks.
            picture.verify()
        stored = json.loads(text)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return None
    record = stored.get("record")
    return record if stored.get("key") == key and isinstance(record, dict) else None
