"""Several LoRAs of one family as one: ``ΔW = Σ wᵢ ΔWᵢ``, exactly or cut to a rank.

Exactly means that ranks add up: the downs stand one below the other and the ups side by side, each
with its weight and scale. The scale that most of the rank has goes into alpha, so factors of equal
scale stay bit for bit what they were. Modules of which some source has no product of thin matrices
(a whole difference, a LoKr of whole sides) become whole differences.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count

import torch

from ..core.errors import LoraFormatError
from ..core.settings import setting, validate
from .bake import WeightTable
from .convert import Conversion, readable_embeddings
from .dtypes import DTYPES, KEEP
from .edited import DTYPE, LOSSY, Use, as_text, chosen_dtype, described, finish, usable
from .family import families
from .ir import NETWORK, LoraFile
from .low_rank import Limit
from .merge_module import MergedModule, Share, merge_module
from .merge_places import places_of
from .proof import same
from .ranks import LARGEST_RANK
from .read import Reading

CONCAT, SVD = "concat", "svd"


@dataclass(frozen=True, kw_only=True)
class MergeSettings:
    """How LoRAs are put together."""

    method: str = setting(
        CONCAT,
        doc="concat: exactly the weighted sum; the ranks add up. svd: the best approximation of "
        "that sum with the rank below, for a smaller file.",
        choices=(CONCAT, SVD),
    )
    rank: int = setting(
        32, doc="Largest rank of a layer in the new file; for svd only.",
        minimum=1, maximum=LARGEST_RANK, step=1,
    )
    dtype: str = setting(KEEP, doc=DTYPE, choices=(KEEP, *DTYPES), advanced=True)
    lossy: bool = setting(False, doc=LOSSY, advanced=True)

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A LoRA with its share in the sum.

    Attributes:
        reading: the file.
        weight: what its change is multiplied by, as a loader's strength.
        text_weight: the same for text encoders; as ``weight`` by default.
    """

    reading: Reading
    weight: float = 1.0
    text_weight: float | None = None

    def weight_in(self, component: str) -> float:
        """The weight for a component."""
        if component == NETWORK or self.text_weight is None:
            return self.weight
        return self.text_weight


@dataclass(frozen=True, kw_only=True)
class Merge:
    """A merged LoRA, not yet written.

    Attributes:
        conversion: what to write; for ``save.save_conversion``.
        modules: how near each module is to the sum.
    """

    conversion: Conversion
    modules: tuple[MergedModule, ...]

    @property
    def worst(self) -> MergedModule:
        """The module that is farthest from the sum."""
        return max(self.modules, key=lambda module: module.error)


def merge(
    sources: Sequence[Source],
    settings: MergeSettings,
    weights: WeightTable | None = None,
    *,
    title: str = "merged",
) -> Merge:
    """Merge LoRAs.

    Args:
        sources: two or more, for one family.
        settings: how.
        weights: the base model's weights, for DoRA and OFT.
        title: of the new file.

    Raises:
        LoraFormatError: families differ, something would be lost, or a layer needs the base model.
    """
    _check_numbers(sources)
    dtype = chosen_dtype(settings.dtype, [source.reading for source in sources])
    use = Use(verb="merged", dora=False, lossy=settings.lossy, weights=weights, dtype=dtype)
    left_out: list[str] = []
    shares: list[Share] = []
    for source in sources:
        counted = (
            layer for layer in source.reading.lora.layers
            if source.weight_in(layer.target.component) != 0
        )
        if source.reading.lora.layers:  # Words alone are of no family; the next line refuses them.
            _check_family(sources[0].reading, source.reading)
        layers, lost = usable(source.reading, counted, use)
        left_out += [f"{source.reading.path.name}: {text}" for text in lost]
        shares += [Share(layer, source.weight_in(layer.target.component)) for layer in layers]
    table = sources[0].reading.table
    limit = Limit(settings.rank) if settings.method == SVD else None
    made = [
        merge_module(target, kind, found, table.shape(target), dtype, limit)
        for (target, kind), found in places_of(shares).items()
    ]
    lora = LoraFile(
        family=sources[0].reading.lora.family,
        layers=tuple(layer for layer, _ in made),
        metadata=_agreed(sources),
    )
    conversion = finish(
        lora, table, _own_metadata(sources, settings), title=title,
        embeddings=_words(sources), left_out=left_out,
    )
    return Merge(conversion=conversion, modules=tuple(facts for _, facts in made))


def _check_numbers(sources: Sequence[Source]) -> None:
    if len(sources) < 2:
        raise LoraFormatError(
            f"Only {len(sources)} LoRA is named",
            expected="two or more to merge",
            remedy="Name another one; to change the strength of one alone, use the loader's",
        )
    for source in sources:
        for weight in (source.weight, source.text_weight):
            if weight is not None and not math.isfinite(weight):
                raise LoraFormatError(
                    f"{source.reading.path.name}'s weight is {weight}",
                    expected="a number",
                    remedy="Name a weight such as 1 or 0.5",
                )


def _check_family(first: Reading, other: Reading) -> None:
    if other.lora.family != first.lora.family:
        one, two = (families()[r.lora.family].title for r in (first, other))
        raise LoraFormatError(
            f"{first.path.name} is for {one}, and {other.path.name} is for {two}",
            expected="LoRAs for one kind of model",
            remedy="Merge only LoRAs for the same kind of model; a LoRA cannot be carried over",
        )


def _agreed(sources: Sequence[Source]) -> dict[str, str]:
    """What the headers of all sources say alike."""
    first, *others = [source.reading.lora.metadata for source in sources]
    return {
        name: text for name, text in first.items()
        if all(other.get(name) == text for other in others)
    }


def _own_metadata(sources: Sequence[Source], settings: MergeSettings) -> dict[str, str]:
    facts = [
        described(
            source.reading.path, weight=source.weight,
            text_weight=source.weight if source.text_weight is None else source.text_weight,
        )
        for source in sources
    ]
    method = {"method": settings.method}
    if settings.method == SVD:
        method["rank"] = str(settings.rank)
    return {
        "kiln_merged_from": as_text(facts),
        "kiln_merge": as_text(method),
        "modelspec.merged_from": ", ".join(source.reading.path.stem for source in sources),
    }


def _words(sources: Sequence[Source]) -> dict[str, dict[str, torch.Tensor]]:
    """Bundled words of all sources; another word of a name that is taken gets its file's name."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    for source in sources:
        for trigger, parts in readable_embeddings(source.reading.lora).items():
            own = f"{trigger}_{source.reading.path.stem}"
            names = chain([trigger, own], (f"{own}_{number}" for number in count(2)))
            free = next(n for n in names if n not in found or _same_words(found[n], parts))
            found[free] = parts
    return found


def _same_words(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(same(one[name], two[name]) for name in one)
