"""What merging, resizing and extracting have in common: sources to check, a new file to make."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from ..core.errors import LoraFormatError
from .algorithm import algorithm_of
from .bake import WeightTable, multiplied_out, wrong_kind
from .convert import Conversion, losses, no_layer, write_proven
from .dtypes import DTYPES, KEEP, common_dtype
from .ir import Layer, LoraFile
from .low_rank import check_finite
from .metadata import complete_metadata
from .published import file_sha256
from .read import Reading
from .table import ModuleTable

LOSSY = (
    "Go on where a part of a file cannot be used, and leave that out. Off, nothing is written and "
    "you are told what it is."
)
DTYPE = "Number format of the new file; keep takes the sources', or fp32 where they differ."


@dataclass(frozen=True, kw_only=True)
class KeptModule:
    """How much of a module's change is kept.

    Attributes:
        module: what it is.
        rank: of its new layer; None for a difference that is stored whole.
        kept: share of the change's squared norm that is kept, as it will be written.
        energy: that squared norm before.
    """

    module: str
    rank: int | None
    kept: float
    energy: float


M = TypeVar("M", bound=KeptModule)


class KeptModules(Generic[M]):
    """What can be told of all modules together.

    Attributes:
        modules: one for each layer.
    """

    modules: Sequence[M]

    @property
    def kept(self) -> float:
        """Share of the squared norm of all changes together that is kept."""
        total = sum(module.energy for module in self.modules)
        kept = sum(module.energy * module.kept for module in self.modules)
        return kept / total if total else 1.0

    @property
    def worst(self) -> M:
        """The module of which least is kept."""
        return min(self.modules, key=lambda module: module.kept)


def chosen_dtype(name: str, readings: Iterable[Reading]) -> torch.dtype:
    """The number format that a setting names."""
    if name != KEEP:
        return DTYPES[name]
    return common_dtype(layer for reading in readings for layer in reading.lora.layers)


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a source's layers are to be used for.

    Attributes:
        verb: what is done with them, for messages.
        dora: whether layers with weight decomposition that the stock loader applies right are
            usable as they are.
        lossy: whether to leave out what is not usable.
        weights: the base model's weights, where they are at hand.
        dtype: of layers that are multiplied out with them.
    """

    verb: str
    dora: bool
    lossy: bool
    weights: WeightTable | None
    dtype: torch.dtype


def usable(reading: Reading, layers: Iterable[Layer], use: Use) -> tuple[list[Layer], list[str]]:
    """Layers whose change is known; those that need the base model multiplied out with it.

    Args:
        reading: the file.
        layers: those of its layers that count.
        use: what for.

    Returns:
        The layers, and what was left out.

    Raises:
        LoraFormatError: something would be lost, a layer depends on the base model, which is not
            at hand, or is broken; or there is no layer at all.
    """
    left_out = losses(reading, lossy=use.lossy)
    if not reading.lora.layers:
        raise no_layer(reading, use.verb)
    counted = list(layers)
    for layer in counted:
        check_finite(layer, reading.path.name)
    found = multiplied_out(
        counted, use.weights, lambda layer: _dependence(layer, reading.table, dora=use.dora),
        lambda layer, kind: _depends(reading.path.name, layer, kind, use.verb),
        dtype=use.dtype, left_out=left_out if use.lossy else None,
    )
    return list(found), left_out


def _dependence(layer: Layer, table: ModuleTable, *, dora: bool) -> str | None:
    if algorithm_of(layer).needs_weight:
        return algorithm_of(layer).title
    if dora:
        return wrong_kind(layer, table)
    return "DoRA" if layer.dora_scale is not None else None


def _depends(name: str, layer: Layer, kind: str, verb: str) -> LoraFormatError:
    return LoraFormatError(
        f"In {name}, {layer.target} is {kind}, whose change depends on the weight it changes, so "
        f"it cannot be {verb} by itself",
        expected="the base model beside it, or layers that do not depend on it",
        remedy="Connect the model or name its checkpoint (--base FILE), or leave such layers out "
        "(--lossy)",
    )


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
    told = {name: text for name, text in lora.metadata.items() if name != "modelspec.title"}
    lora = replace(lora, metadata=told)
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
