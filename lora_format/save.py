"""Writes what a conversion made: the LoRA, what belongs beside it, and bundled embeddings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..core import atomic
from .convert import Conversion
from .published import publish
from .scales import CONFIG_NAME

PEFT_NAME = "adapter_model.safetensors"
UNSAFE = re.compile(r'[\x00-\x1f<>:"/\\|?*]')


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
        target: the file; for PEFT, which wants a fixed name, a folder of that name is made.
        embeddings: folder for bundled embeddings; beside the LoRA by default.
    """
    path: Path | None = None
    if conversion.written.tensors:
        if conversion.written.beside:
            target = target.with_suffix("") / PEFT_NAME
        path = publish(target, conversion.written.tensors, conversion.metadata)
        for name, value in conversion.written.beside.items():
            beside = name if path == target else f"{path.stem}_{CONFIG_NAME}"
            atomic.write_json(path.with_name(beside), value)
    folder = embeddings or target.parent
    files = [
        publish(folder / f"{safe_name(trigger)}.safetensors", parts, {})
        for trigger, parts in conversion.embeddings.items()
    ]
    return Saved(path, tuple(files))


def safe_name(trigger: str) -> str:
    """A trigger as a file name: it is what people type behind ``embedding:``."""
    name = UNSAFE.sub("_", trigger).strip(" .") or "embedding"
    return name.replace(" ", "_")

