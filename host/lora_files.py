"""Converts LoRA files between ComfyUI's folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import folder_paths
import torch

from ..lora_format.convert import Conversion, ConvertSettings, convert, default_name
from ..lora_format.read import Reading, read
from ..lora_format.save import Saved, save_conversion
from . import paths
from .base import connected_base


def convert_in_comfy(
    lora_name: str, settings: ConvertSettings, model: Any = None, clip: Any = None,
    adapter: str | None = None,
) -> tuple[str, str]:
    """Convert a file from models/loras into the folder ``kiln`` there.

    Args:
        lora_name: as the stock loader lists it.
        settings: what to make of it.
        model: the MODEL it is for, or None.
        clip: its CLIP, or None.
        adapter: which one to take when the file holds several.

    Returns:
        The new name for the stock loader, and what was done.

    Raises:
        LoraFormatError: it cannot be converted whole.
    """
    source = paths.resolve_lora(lora_name)
    base = None if model is None else connected_base(model, clip)
    with torch.inference_mode(False):
        reading = read(source, base.base if base else None, adapter)
        conversion = convert(reading, settings, base)
        target = paths.published_loras_folder() / default_name(source, settings.to)
        if settings.to != "kohya":
            target = paths.runs_folder() / "converted" / target.name
        saved = save_conversion(conversion, target, _embeddings_folder())
    name = "" if saved.path is None else str(saved.path)
    if settings.to == "kohya" and saved.path is not None:
        name = paths.lora_name_for_loader(saved.path)
    return name, _told(reading, conversion, saved, name)


def save_for_loader(conversion: Conversion, name: str) -> Saved:
    """Write a LoRA into the folder ``kiln`` of models/loras, its words into models/embeddings."""
    return save_conversion(conversion, paths.published_loras_folder() / name, _embeddings_folder())


def _embeddings_folder() -> Path:
    return Path(folder_paths.get_folder_paths("embeddings")[0])


def _told(reading: Reading, conversion: Conversion, saved: Saved, name: str) -> str:
    formats = " and ".join(reading.formats) or "an unknown format"
    lines = [f"{reading.path.name} was in {formats}; {len(conversion.lora.layers)} layers."]
    if name:
        lines.append(f"Written: {name}")
        lines.append(f"Largest relative difference: {conversion.proof.worst[1]:.1e}")
    lines += [f"Trained words: embedding:{path.stem}" for path in saved.embeddings]
    lines += [f"Note: {finding.text}" for finding in reading.findings if finding.level != "error"]
    lines += [f"LEFT OUT: {text}" for text in conversion.left_out]
    lines += [f"NOT READ by the LoRA loader: {key}" for key in conversion.unread]
    return "\n".join(lines)
