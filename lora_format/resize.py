"""A LoRA with other ranks: the best approximation of each layer's change, as a plain LoRA.

LoHa, LoKr and whole differences become plain LoRA as well. Layers that are small enough already,
and differences of norms and biases, stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..core.settings import setting, validate
from .algorithm import algorithm_of
from .bake import WeightTable
from .convert import Conversion, readable_embeddings
from .dtypes import DTYPES, KEEP, cast
from .edited import (
    DTYPE,
    LOSSY,
    KeptModule,
    KeptModules,
    Use,
    as_text,
    chosen_dtype,
    described,
    finish,
    usable,
)
from .ir import Layer
from .low_rank import (
    Limit,
    as_lora,
    cut_matrix,
    cut_pair,
    kept_energy,
    low_rank_form,
    squared_norm,
)
from .proof import Pair
from .ranks import LARGEST_RANK, Ranks, parse_ranks
from .read import Reading


@dataclass(frozen=True, kw_only=True)
class ResizeSettings:
    """How small a LoRA shall become."""

    rank: int = setting(
        16, doc="Largest rank of a layer in the new file. Ranks only go down.",
        minimum=1, maximum=LARGEST_RANK, step=1,
    )
    energy: float = setting(
        1.0,
        doc="Share of each layer's strength (its squared norm) to keep, with as few ranks as do: "
        "0.95 often halves a file without a visible difference. At 1 only the rank counts.",
        minimum=0.01, maximum=1.0, step=0.01,
    )
    blocks: str = setting(
        "",
        doc="Largest ranks of their own for some layers, by a piece of their name in which * "
        "stands for anything: attn2=8; output_blocks*ff=32. The first that fits counts.",
        multiline=True, advanced=True,
    )
    dtype: str = setting(KEEP, doc=DTYPE, choices=(KEEP, *DTYPES), advanced=True)
    lossy: bool = setting(False, doc=LOSSY, advanced=True)

    def __post_init__(self) -> None:
        validate(self)
        parse_ranks(self.blocks)


@dataclass(frozen=True, kw_only=True)
class ResizedModule(KeptModule):
    """How a module came out.

    Attributes:
        algorithm: what it was.
        old_rank: its rank in the source; None for a whole difference.
    """

    algorithm: str
    old_rank: int | None


@dataclass(frozen=True, kw_only=True)
class Resize(KeptModules[ResizedModule]):
    """A resized LoRA, not yet written.

    Attributes:
        conversion: what to write; for ``save.save_conversion``.
        modules: in the order of the source.
        old_bytes: of the source's layers.
        new_bytes: of the new file's.
    """

    conversion: Conversion
    modules: tuple[ResizedModule, ...]
    old_bytes: int
    new_bytes: int


def resize(
    reading: Reading, settings: ResizeSettings, weights: WeightTable | None = None
) -> Resize:
    """Bring a LoRA's layers to smaller ranks.

    Args:
        reading: the file.
        settings: how small.
        weights: the base model's weights, for OFT and for DoRA over outputs.

    Raises:
        LoraFormatError: something would be lost, or a layer needs the base model.
    """
    dtype, ranks = chosen_dtype(settings.dtype, [reading]), parse_ranks(settings.blocks)
    use = Use(verb="resized", dora=True, lossy=settings.lossy, weights=weights, dtype=dtype)
    layers, left_out = usable(reading, reading.lora.layers, use)
    made = [_resized(layer, _limit(layer, settings, ranks), reading, dtype) for layer in layers]
    lora = replace(reading.lora, layers=tuple(layer for layer, _ in made), embeddings={})
    title = resized_name(reading.path, settings)
    conversion = finish(
        lora, reading.table, _own_metadata(reading, settings), title=Path(title).stem,
        embeddings=readable_embeddings(reading.lora), left_out=left_out,
    )
    return Resize(
        conversion=conversion,
        modules=tuple(facts for _, facts in made),
        old_bytes=sum(map(_bytes, _tensors(reading.lora.layers))),
        new_bytes=sum(map(_bytes, conversion.written.tensors.values())),
    )


def resized_name(path: Path, settings: ResizeSettings) -> str:
    """Name of the new file, beside its source."""
    if settings.energy < 1:
        return f"{path.stem}_energy{100 * settings.energy:g}.safetensors"
    return f"{path.stem}_rank{settings.rank}.safetensors"


def _limit(layer: Layer, settings: ResizeSettings, ranks: Ranks) -> Limit:
    return Limit(ranks.rank(layer.target) or settings.rank, settings.energy)


def _resized(
    layer: Layer, limit: Limit, reading: Reading, dtype: torch.dtype
) -> tuple[Layer, ResizedModule]:
    shape = reading.table.shape(layer.target)
    form = None if _stays(layer, limit, shape) else _form(layer)
    made = cast(layer, dtype)
    if form is not None:
        cut = cut_matrix(form, limit) if isinstance(form, torch.Tensor) else cut_pair(*form, limit)
        if not _same_rank(cut, layer):
            made = as_lora(layer.target, cut, shape, dtype, dora_scale=layer.dora_scale)
    kept = 1.0 if form is None else kept_energy(form, made)
    algorithm = algorithm_of(layer)
    return made, ResizedModule(
        module=str(layer.target), algorithm=algorithm.title, old_rank=algorithm.rank(layer),
        rank=algorithm_of(made).rank(made), kept=kept,
        energy=squared_norm(_form(layer) if form is None else form),
    )


def _stays(layer: Layer, limit: Limit, shape: tuple[int, ...]) -> bool:
    if len(shape) < 2 or layer.algorithm in ("bias", "norm"):
        return True
    return _is_plain(layer) and limit.energy == 1 and _rank(layer) <= limit.rank


def _is_plain(layer: Layer) -> bool:
    return layer.algorithm == "lora" and "lora_mid" not in layer.factors


def _rank(layer: Layer) -> int:
    return int(layer.factors["lora_down"].shape[0])


def _same_rank(cut: Pair, layer: Layer) -> bool:
    """Nothing was cut off: then the factors stay bit for bit what they were."""
    return _is_plain(layer) and cut[0].shape[1] == _rank(layer)


def _form(layer: Layer) -> Pair | torch.Tensor:
    form = low_rank_form(layer)
    return algorithm_of(layer).delta(layer) if form is None else form


def _own_metadata(reading: Reading, settings: ResizeSettings) -> dict[str, str]:
    kept = {"rank": settings.rank, "energy": settings.energy, "blocks": settings.blocks}
    return {
        "kiln_resized_from": as_text(described(reading.path)),
        "kiln_resize": as_text(kept),
    }


def _tensors(layers: tuple[Layer, ...]) -> Iterator[torch.Tensor]:
    for layer in layers:
        yield from layer.factors.values()
        if layer.dora_scale is not None:
            yield layer.dora_scale


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()
