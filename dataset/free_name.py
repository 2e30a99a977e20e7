"""Giving a finished folder its name, without ever mixing it into one that is there."""

from __future__ import annotations

import contextlib
import os
import threading
from itertools import count
from pathlib import Path

from ..core import atomic

_lock = threading.Lock()


def rename_to_free(folder: Path, parent: Path, name: str) -> str:
    """Move a folder to the first free name: ``name``, ``name-2`` and so on; returns that name.

    Raises:
        OSError: the disk refuses, for another reason than that a name is taken.
    """
    with _lock:
        for number in count(1):
            chosen = name if number == 1 else f"{name}-{number}"
            # Another server may be as quick: a folder with files in it is not replaced.
            if not os.path.lexists(parent / chosen):
                with contextlib.suppress(FileExistsError):
                    _rename(folder, parent / chosen)
                    atomic.sync_folder(parent)
                    return chosen
    raise AssertionError("unreachable")


def _rename(source: Path, target: Path) -> None:
    try:
        os.rename(source, target)
    except OSError as error:
        if target.exists():
            raise FileExistsError(error.errno, "taken", str(target)) from error
        raise
