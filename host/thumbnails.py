"""Small pictures for grids in the browser, made once and kept."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from ..core import atomic
from ..core.settings import digest
from ..dataset.decode import DECODE_VERSION, decode
from ..dataset.items import PictureFile, file_stamp
from .paths import cache_folder

SIZES_PX = (160, 320, 1024)
QUALITY = 78
MOST_BYTES = 2**29
"""Kept in all; the oldest go first."""
_TRIM_EVERY = 256
MAKERS = ThreadPoolExecutor(2, thread_name_prefix="kiln-thumbnail")
"""Pictures decoded at once: each may take 64 MP, and people train on the same machine."""
_lock = threading.Lock()
_made = 0


def kept_thumbnail(path: Path, name: str, size_px: int) -> bytes | None:
    """The small picture, where it was made before and the picture is still the same.

    Raises:
        DatasetError: there is no such picture.
    """
    try:
        return _kept(path, name, size_px).read_bytes()
    except FileNotFoundError:
        return None


def thumbnail(path: Path, name: str, size_px: int) -> bytes:
    """A picture as WebP, at most so many pixels wide and high, upright and in sRGB.

    Raises:
        DatasetError: it cannot be read; the message says why.
    """
    kept = _kept(path, name, size_px)
    picture = decode(PictureFile(path, name), "white").image
    picture.thumbnail((size_px, size_px), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    picture.save(encoded, "WEBP", quality=QUALITY, method=2)
    atomic.write_bytes(kept, encoded.getvalue())
    with _lock:
        _trim_sometimes()
    return encoded.getvalue()


def _kept(path: Path, name: str, size_px: int) -> Path:
    size, mtime_ns = file_stamp(path, name)
    key = digest(["thumbnail", str(path), size, mtime_ns, size_px, DECODE_VERSION])
    return _folder() / key[:2] / f"{key}.webp"


def _folder() -> Path:
    return cache_folder() / "thumbnails"


def _trim_sometimes() -> None:
    global _made
    _made += 1
    if _made % _TRIM_EVERY:
        return
    files = [(path, path.stat()) for path in _folder().rglob("*.webp")]
    total = sum(stat.st_size for _, stat in files)
    for path, stat in sorted(files, key=lambda row: row[1].st_mtime_ns):
        if total <= MOST_BYTES:
            return
        path.unlink(missing_ok=True)
        total -= stat.st_size
