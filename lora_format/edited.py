"""What merging, resizing and extracting have in common: sources to check, a new file to make."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..core.errors import LoraFormatError
from .algorithm import algorithm_of
from .bake import WeightTable, bake
from .convert import Conversion, write_proven
from .dtypes import DTYPES, KEEP, common_dtype
from .ir import Layer, LoraFile
from .low_rank import check_finite
from .metadata import complete_metadata
from .published import file_sha256
from .table import ModuleTable

LOSSY = (
    "Go on where a part of a file cannot be used, and leave that out. Off, nothing is written and "
    "you are told what it is."
)
DTYPE = "Number format of the new file; keep takes the sources', or fp32 where they differ."


def chosen_dtype(name: str, layers: Iterable[Layer]) -> torch.dtype:
    """The number format that a setting names."""
    return common_dtype(layers) if name == KEEP else DTYPES[name]


def usable(
    layers: Iterable[Layer],
    weights: WeightTable | None,
    *,
    verb: str,
    dora: bool,
    lossy: bool,
    left_out: list[str],
) -> list[Layer]:
    """Layers whose change is known; those that need the base model multiplied out with it.

    Args:
        layers: of one file.
        weights: the base model's weights, where they are at hand.
        verb: what cannot be done without them, for the message.
        dora: whether layers with weight decomposition are usable as they are.
        lossy: whether to leave out what is not usable.
        left_out: takes what was left out.

    Raises:
        LoraFormatError: a layer depends on the base model, which is not at hand, or is broken.
    """
    found = []
    for layer in layers:
        check_finite(layer)
        kind = _dependence(layer, dora=dora)
        if kind is None:
            found.append(layer)
        elif weights is not None:
            found.append(bake(layer, weights))
        elif lossy:
            left_out.append(f"{layer.target} is {kind}")
        else:
            raise LoraFormatError(
                f"{layer.target} is {kind}, whose change depends on the weight it changes, so it "
                f"cannot be {verb} by itself",
                expected="the base model beside it, or layers that do not depend on it",
                remedy="Connect the model or name its checkpoint (--base FILE), or leave such "
                "layers out (--lossy)",
            )
    return found


def _dependence(layer: Layer, *, dora: bool) -> str | None:
    if algorithm_of(layer).needs_weight:
        return algorithm_of(layer).title
    return "DoRA" if layer.dora_scale is not None and not dora else None


def finish(
    lora: LoraFile,
    table: ModuleTable,
    own: Mapping[str, str],
    *,
    title: str,
    embeddings: Mapping[str, Mapping[str, torch.Tensor]] | None = None,
    left_out: Iterable[str] = (),
) -> Conversion:
    """Write a new LoRA for ComfyUI, in memory, and read it back.

    Args:
        lora: the layers; its metadata are what the sources agree on.
        table: modules of the model it is for.
        own: metadata that say how it was made.
        title: of the file, which it also has in messages.
        embeddings: words that came with the sources.
        left_out: what was lost on the way.

    Raises:
        LoraFormatError: there is no layer, or it cannot be written.
    """
    if not lora.layers:
        raise LoraFormatError(
            f"Nothing is left to write into {title}",
            expected="at least one layer that changes something",
            remedy="Check the weights and the thresholds: at these values every layer is zero",
        )
    written, back, proof = write_proven(lora, table, to="kohya", source=lora, name=title)
    return Conversion(
        written=written,
        metadata=complete_metadata(lora, written, own, title=title, changed=True),
        lora=replace(back, metadata=lora.metadata),
        embeddings=embeddings or {},
        proof=proof,
        left_out=tuple(left_out),
    )


def described(path: Path, **facts: Any) -> dict[str, Any]:
    """A source file for the metadata."""
    return {"name": path.name, "sha256": file_sha256(path), **facts}


def as_text(value: Any) -> str:
    """A value for the header, as JSON that is the same for the same value."""
    return json.dumps(value, sort_keys=True)
