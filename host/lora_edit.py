"""Merges, resizes, extracts and bakes LoRA files between ComfyUI's folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..core.protocols import Progress
from ..lora_format.algorithm import algorithm_of
from ..lora_format.bake import WeightTable
from ..lora_format.edit_reports import (
    Report,
    extract_report,
    lines_of,
    merge_report,
    resize_report,
    strength_report,
)
from ..lora_format.extract import ExtractSettings, extract, extracted_lora
from ..lora_format.merge import MergeSettings, Source, merge
from ..lora_format.published import PublishedLora, file_sha256
from ..lora_format.read import Base, read
from ..lora_format.resize import ResizeSettings, resize, resized_name
from ..lora_format.save import Saved
from ..lora_format.strength import StrengthSettings, bake_strength, baked_name
from . import paths
from .base import connected_base
from .compare import ConnectedModels, compute_device
from .identity import model_identity
from .lora_files import save_for_loader


@dataclass(frozen=True)
class Part:
    """One LoRA of a merge.

    Attributes:
        lora_name: as the stock loader lists it.
        weight: what its change is multiplied by.
        text_share: weight for its text encoders, in multiples of that.
    """

    lora_name: str
    weight: float
    text_share: float


def merge_in_comfy(
    parts: Sequence[Part], settings: MergeSettings, name: str, model: Any = None, clip: Any = None
) -> tuple[str, str]:
    """Merge files from models/loras into the folder ``kiln`` there.

    Args:
        parts: two or more.
        settings: how.
        name: of the new file, without its ending.
        model: the MODEL they are for, or None.
        clip: its CLIP, or None.

    Returns:
        The new name for the stock loader, and what was done.

    Raises:
        LoraFormatError: they cannot be merged whole.
    """
    name = paths.check_run_name(name)
    base, weights = _base_of(model, clip)
    with torch.inference_mode(False):
        sources = [
            Source(
                reading=read(paths.resolve_lora(part.lora_name), base), weight=part.weight,
                text_weight=part.weight * part.text_share,
            )
            for part in parts
        ]
        merged = merge(sources, settings, weights, title=name)
        saved = save_for_loader(merged.conversion, f"{name}.safetensors")
    return _told(merge_report(merged, settings, saved), saved)


def resize_in_comfy(
    lora_name: str, settings: ResizeSettings, model: Any = None, clip: Any = None
) -> tuple[str, str]:
    """Resize a file from models/loras into the folder ``kiln`` there; see :func:`merge_in_comfy`.

    Raises:
        LoraFormatError: it cannot be resized whole.
    """
    source = paths.resolve_lora(lora_name)
    base, weights = _base_of(model, clip)
    with torch.inference_mode(False):
        resized = resize(read(source, base), settings, weights)
        saved = save_for_loader(resized.conversion, resized_name(source, settings))
    return _told(resize_report(resized, saved), saved)


@dataclass(frozen=True, kw_only=True)
class ExtractRequest:
    """What to extract from.

    Attributes:
        tuned: the changed MODEL, with whatever is patched onto it.
        original: the MODEL it was made of.
        clip_tuned, clip_original: their CLIPs; text encoders are compared where both are there.
        settings: what to keep.
        name: of the new file, without its ending.
    """

    tuned: Any
    original: Any
    settings: ExtractSettings
    name: str
    clip_tuned: Any = None
    clip_original: Any = None


def extract_in_comfy(request: ExtractRequest, progress: Progress) -> tuple[str, str]:
    """Make a LoRA of what two connected models differ in; see :func:`merge_in_comfy`.

    Raises:
        LoraFormatError: they are of different kinds, or do not differ.
    """
    name = paths.check_run_name(request.name)
    pairs = ConnectedModels.of(
        (request.tuned, request.clip_tuned), (request.original, request.clip_original)
    )
    step = _Step(progress, len(pairs))
    with torch.no_grad():
        found = extract(pairs, request.settings, device=compute_device(), step=step)
    found.left_out += pairs.uncomparable()
    sources = {
        "tuned": {"identity": model_identity(request.tuned).digest},
        "original": {"identity": model_identity(request.original).digest},
    }
    with torch.inference_mode(False):
        conversion = extracted_lora(found, pairs.base, request.settings, sources, title=name)
        saved = save_for_loader(conversion, f"{name}.safetensors")
    return _told(extract_report(found, conversion, saved), saved)


@dataclass(frozen=True, kw_only=True)
class StrengthRequest:
    """What to bake.

    Attributes:
        source: the file.
        settings: the strength.
        name: of the new file, without its ending; empty for the source's, with the strength.
        model: the MODEL it is for, or None.
        clip: its CLIP, or None.
    """

    source: Path
    settings: StrengthSettings
    name: str = ""
    model: Any = None
    clip: Any = None


def bake_in_comfy(request: StrengthRequest, progress: Progress) -> tuple[PublishedLora, str]:
    """Write a LoRA whose strength 1 is another's of its source; see :func:`merge_in_comfy`.

    Returns:
        The new file, and what was done.

    Raises:
        LoraFormatError: it cannot be baked whole.
    """
    settings = request.settings
    file = baked_name(request.source, settings)
    if request.name:
        file = f"{paths.check_run_name(request.name)}.safetensors"
    base, weights = _base_of(request.model, request.clip)
    with torch.inference_mode(False):
        reading = read(request.source, base)
        step = _Step(progress, len(reading.lora.layers))
        title = file.removesuffix(".safetensors")
        baked = bake_strength(reading, settings, weights, title=title, step=step)
        saved = save_for_loader(baked.conversion, file)
    name, report = _told(strength_report(baked, settings, saved), saved)
    assert saved.path is not None
    lora = baked.conversion.lora
    return PublishedLora(
        path=saved.path, loader_name=name, sha256=file_sha256(saved.path), family=lora.family,
        rank=max(algorithm_of(layer).rank(layer) or 0 for layer in lora.layers),
    ), report


class _Step:
    """Moves the bar, and hears Cancel."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._done, self._total = progress, 0, total

    def __call__(self) -> None:
        self._done += 1
        self._progress.check_cancelled()
        self._progress.update(self._done, self._total)


def _base_of(model: Any, clip: Any) -> tuple[Base | None, WeightTable | None]:
    if model is None:
        return None, None
    connected = connected_base(model, clip)
    return connected.base, connected


def _told(report: Report, saved: Saved) -> tuple[str, str]:
    assert isinstance(saved.path, Path)
    name = paths.lora_name_for_loader(saved.path)
    return name, "\n".join([f"Written: {name}", *lines_of(report)])
