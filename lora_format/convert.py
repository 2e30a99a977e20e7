"""From any LoRA file to one that a given program loads whole, with the proof that it is the same.

A conversion that would lose anything stops and says what, unless it is told to go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..core.errors import LoraFormatError, shorten
from ..core.settings import setting, validate
from .bake import WeightTable, bake_unreadable
from .dtypes import DTYPES, KEEP, cast, imprecise, limit_of
from .family import families
from .foreign import fold_alpha
from .format import Written, writer
from .ir import Layer, LoraFile
from .metadata import complete_metadata
from .proof import Proof, by_module, prove
from .published import file_sha256
from .read import Base, Reading, read_written
from .stock_names import stock_names, unread_keys
from .table import ModuleTable

EMBEDDING_PARTS = ("clip_l", "clip_g")


@dataclass(frozen=True, kw_only=True)
class ConvertSettings:
    """What to make of a file."""

    to: str = setting(
        "kohya",
        doc="The format to write. kohya: for ComfyUI's LoRA loader and most programs. diffusers, "
        "peft: for these libraries.",
        choices=("kohya", "diffusers", "peft"),
    )
    dtype: str = setting(
        KEEP, doc="Number format of the new file; keep leaves it as it is.", choices=(KEEP, *DTYPES)
    )
    fold_alpha: bool = setting(
        False,
        doc="Multiply each scale into the factors, for programs that look for no alpha. Costs a "
        "rounding.",
        advanced=True,
    )
    lossy: bool = setting(
        False,
        doc="Go on where something cannot be converted, and leave that out. Off, the conversion "
        "stops and says what it is.",
        advanced=True,
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """A converted LoRA, not yet written.

    Attributes:
        written: tensors by key, and what goes beside the file.
        metadata: the header's strings.
        lora: the in-memory form of what is written.
        embeddings: bundled words, by trigger; each becomes a file.
        proof: how far it is from the source.
        left_out: what was lost, if that was allowed.
        unread: keys that the stock loader would not match; empty unless that was allowed.
    """

    written: Written
    metadata: Mapping[str, str]
    lora: LoraFile
    embeddings: Mapping[str, Mapping[str, torch.Tensor]]
    proof: Proof
    left_out: tuple[str, ...]
    unread: tuple[str, ...] = ()


def convert(
    reading: Reading, settings: ConvertSettings, weights: WeightTable | None = None
) -> Conversion:
    """Convert a file that was read.

    Args:
        reading: the file.
        settings: what to make of it.
        weights: the base model's weights, for what can only be written with them.

    Raises:
        LoraFormatError: something would be lost, or the proof fails.
    """
    left_out = losses(reading, lossy=settings.lossy)
    source = reading.lora
    if settings.to == "kohya":
        baked = bake_unreadable(
            source.layers, reading.table, weights, dtype=DTYPES.get(settings.dtype),
            left_out=left_out if settings.lossy else None,
        )
        source = replace(source, layers=baked)
    if settings.lossy:
        source = _writable(source, reading.table, settings.to, left_out)
    if not source.layers:
        return _only_embeddings(reading, left_out)
    lora = replace(source, layers=_changed(source.layers, settings))
    written, back, proof = write_proven(
        lora, reading.table, to=settings.to, source=source, name=reading.path.name
    )
    unread = _unread(lora, written, reading) if settings.to == "kohya" else []
    if unread and not settings.lossy:
        raise LoraFormatError(
            f"ComfyUI's LoRA loader would pass over {len(unread)} keys of what was made of "
            f"{reading.path.name}: {shorten(unread)}",
            expected="keys that it reads, every one",
            remedy="Leave these layers out (--lossy), or please report this file",
        )
    own = {
        "kiln_converted_from": ", ".join(reading.formats) or "unknown",
        "kiln_source_sha256": file_sha256(reading.path),
        "kiln_source_name": reading.path.name,
    }
    return Conversion(
        written=written,
        metadata=complete_metadata(
            lora, written, own, title=reading.path.stem, changed=settings.fold_alpha
        ),
        lora=back,
        embeddings=readable_embeddings(reading.lora),
        proof=proof,
        left_out=tuple(left_out),
        unread=tuple(unread),
    )


def _unread(lora: LoraFile, written: Written, reading: Reading) -> list[str]:
    """Keys that the stock loader would not match."""
    return unread_keys(written.tensors, stock_names(families()[lora.family], reading.table))


def _writable(lora: LoraFile, table: ModuleTable, to: str, left_out: list[str]) -> LoraFile:
    """Only the layers that a format has a place for; ``left_out`` takes what the others are."""
    write = writer(to)
    try:
        write(lora, table)
    except LoraFormatError:
        pass
    else:
        return lora
    kept: list[Layer] = []
    for layer in lora.layers:
        try:
            write(replace(lora, layers=(layer,)), table)
        except LoraFormatError as error:
            left_out += [] if error.found in left_out else [error.found]
        else:
            kept.append(layer)
    return replace(lora, layers=tuple(kept))


def losses(reading: Reading, *, lossy: bool) -> list[str]:
    """What of a file was not understood, or could be of no use.

    Raises:
        LoraFormatError: there is something, and nothing may be lost.
    """
    left_out = [finding.text for finding in reading.errors]
    left_out += [
        f"The trained word '{trigger}' has the part {name}, which ComfyUI does not read"
        for trigger, parts in reading.lora.embeddings.items()
        for name in parts if name not in EMBEDDING_PARTS
    ]
    if left_out and not lossy:
        raise LoraFormatError(
            f"{reading.path.name} cannot be converted whole: {left_out[0]}"
            + (f" (and {len(left_out) - 1} more)" if len(left_out) > 1 else ""),
            expected="a file of which every key is understood and can be used",
            remedy="See what is the matter with it (inspect), or leave that out (--lossy)",
        )
    return left_out


def write_proven(
    lora: LoraFile, table: ModuleTable, *, to: str, source: LoraFile, name: str
) -> tuple[Written, LoraFile, Proof]:
    """Write, read back with the reader for files, and compare with the source.

    Args:
        lora: what to write.
        table: modules of the model it is for.
        to: the format.
        source: what it must be equal to, up to the rounding of its numbers.
        name: of the file, for messages.

    Raises:
        LoraFormatError: it cannot be written, or differs.
    """
    written = writer(to)(lora, table)
    back = read_written(written, Path(name), Base(family=lora.family, table=table))
    proof = prove(source, back, table)
    made = by_module(lora.layers)
    for module, error in sorted(proof.errors.items(), key=lambda item: -item[1]):
        # Each module has the limit of its own number format: others' must not hide its errors.
        if error > limit_of(made.get(module, ())):
            raise imprecise(
                f"The converted {name} differs from its source by {error:.2g} in {module}",
                made.get(module, ()),
            )
    return written, back, proof


def _only_embeddings(reading: Reading, left_out: list[str]) -> Conversion:
    words = readable_embeddings(reading.lora)
    if not words:
        raise no_layer(reading, "converted")
    return Conversion(
        written=Written({}), metadata={}, lora=replace(reading.lora, layers=()), proof=Proof({}),
        embeddings=words, left_out=tuple(left_out),
    )


def no_layer(reading: Reading, verb: str) -> LoraFormatError:
    """The error of a file that has nothing for what is to be done, named by the verb."""
    words = ", only trained words" if reading.lora.embeddings else ""
    return LoraFormatError(
        f"{reading.path.name} has no layer that can be {verb}{words}",
        expected="a LoRA",
        remedy="See what is the matter with it (inspect)",
    )


def _changed(layers: tuple[Layer, ...], settings: ConvertSettings) -> tuple[Layer, ...]:
    dtype = DTYPES.get(settings.dtype)
    if settings.fold_alpha:
        layers = fold_alpha(layers, dtype)
    return layers if dtype is None else tuple(cast(layer, dtype) for layer in layers)


def readable_embeddings(lora: LoraFile) -> dict[str, dict[str, torch.Tensor]]:
    """Embeddings with the parts that ComfyUI reads; for others see :func:`losses`."""
    readable = {
        trigger: {name: tensor for name, tensor in parts.items() if name in EMBEDDING_PARTS}
        for trigger, parts in lora.embeddings.items()
    }
    return {trigger: parts for trigger, parts in readable.items() if parts}


def default_name(path: Path, to: str) -> str:
    """Name of the converted file, beside its source."""
    ending = "comfyui" if to == "kohya" else to
    stem = path.stem.removesuffix("_comfyui")
    return f"{stem}_{ending}.safetensors"
