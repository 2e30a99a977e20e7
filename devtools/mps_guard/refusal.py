"""The error of the guard, and whose line it was."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import torch

PACK = Path(__file__).resolve().parents[2]
_OWN = Path(__file__).resolve().parent
_LIBRARIES = tuple(
    {str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "purelib", "platlib")}
    | {str(Path(torch.__file__).resolve().parent)}
)


class MpsRefusal(Exception):
    """Something that a Mac's GPU would refuse, or would silently do otherwise.

    Not a RuntimeError: code that waits for an exhausted device must not take it for one.
    """


def caller() -> str:
    """The nearest line outside of torch and other libraries, and the pack's own above it."""
    nearest = ""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        path = Path(name)
        if not name.startswith(("<", *_LIBRARIES)) and path.parent != _OWN:
            place = f"{name}:{frame.f_lineno} in {frame.f_code.co_name}"
            if _is_ours(path):
                return f"{nearest}, called from {place}" if nearest else place
            nearest = nearest or place
        frame = frame.f_back  # type: ignore[assignment]
    return nearest or "an unknown line"


def _is_ours(path: Path) -> bool:
    if PACK not in path.parents:
        return False
    return path.relative_to(PACK).parts[0] not in ("tests", ".venv")
