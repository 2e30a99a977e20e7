"""Writes what a conversion made: the LoRA, what belongs beside it, and bundled embeddings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import atomic
from ..core.tensor_stream import data_hash
from .convert import Conversion
from .published import holds, publish, versions

PEFT_NAME = "adapter_model.safetensors"
UNSAFE = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
LONGEST_NAME_BYTES = 200
"""Of a trigger as a file name; leaves room for a number and the suffix."""


@dataclass(frozen=True)
class Saved:
    """What was written.

    Attributes:
        path: the LoRA; None when the source held embeddings only.
        embeddings: one file for each trigger.
    """

    path: Path | None
    embeddings: tuple[Path, ...] = ()


def save_conversion(
    conversion: Conversion, target: Path, embeddings: Path | None = None
) -> Saved:
    """Write a converted LoRA; an existing file with other content is never overwritten.

    Args:
        conversion: what was made.
        target: the file; for PEFT, which wants fixed names, a folder of that name is made.
        embeddings: folder for bundled embeddings; beside the LoRA by default.
    """
    path: Path | None = None
    if conversion.written.tensors:
        if conversion.written.beside:
            path = _publish_folder(conversion, target)
        else:
            path = publish(target, conversion.written.tensors, conversion.metadata)
    folder = embeddings or target.parent
    files = [
        publish(folder / f"{safe_name(trigger)}.safetensors", parts, {})
        for trigger, parts in conversion.embeddings.items()
    ]
    return Saved(path, tuple(files))


def _publish_folder(conversion: Conversion, target: Path) -> Path:
    """Write files of fixed names into a folder of their own; another content gets another one."""
    written = conversion.written
    content = data_hash(written.tensors)
    for version in versions(target):
        path = version.with_suffix("") / PEFT_NAME
        if _fits_beside(path, written.beside) and (
            not path.exists() or holds(path, written.tensors, conversion.metadata, content)
        ):
            break
    for name, value in written.beside.items():
        # Before the LoRA, which would mean something else without it.
        if not path.with_name(name).exists():
            atomic.write_json(path.with_name(name), value)
    return publish(path, written.tensors, conversion.metadata)


def _fits_beside(path: Path, beside: Mapping[str, Any]) -> bool:
    """Whether no file that stands there already says something else."""
    for name, value in beside.items():
        file = path.with_name(name)
        if not file.exists():
            continue
        try:
            if json.loads(file.read_text("utf-8")) != value:
                return False
        except ValueError:
            return False
    return True


def safe_name(trigger: str) -> str:
    """A trigger as a file name: it is what people type behind ``embedding:``."""
    name = UNSAFE.sub("_", trigger).strip(" .") or "embedding"
    short = name.encode("utf-8")[:LONGEST_NAME_BYTES].decode("utf-8", "ignore")
    return short.replace(" ", "_")
