"""A LoRA whose strength 1 is another strength of its source, as the stock loader applies that.

Most algorithms are linear: alpha takes the strength (a factor or the difference itself where there
is no alpha), so no factor of a plain LoRA is rounded. DoRA at another strength is no DoRA, and OFT
no OFT: these layers become the differences that the stock loader makes of the base model's weights
(:func:`.bake.stock_change`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..core.errors import LoraFormatError
from ..core.settings import setting, validate
from .algorithm import algorithm_of
from .bake import WeightTable, stock_change, wrong_kind
from .checks import hidden_alpha, kronecker_cores, limited_rotations, vector_magnitudes
from .convert import Conversion, losses, no_layer, readable_embeddings
from .dtypes import DTYPES, KEEP, cast, cast_tensor, common_dtype, imprecise, is_finite, limit_of
from .edited import LOSSY, as_text, described, finish
from .family import families
from .finding import ERROR, Finding
from .ir import NETWORK, Layer
from .low_rank import check_finite
from .merge_module import as_stored
from .naming import naming, repeated
from .proof import Proof, by_module, relative_error
from .read import Reading
from .stock_names import stock_names, unread_keys
from .table import ModuleTable

LARGEST_STRENGTH = 100.0


@dataclass(frozen=True, kw_only=True)
class StrengthSettings:
    """What a file's strength 1 shall be."""

    strength: float = setting(
        1.0,
        doc="The strength of the LoRA that becomes strength 1 of the new file; above 1 and below 0 "
        "as well.",
        minimum=-LARGEST_STRENGTH, maximum=LARGEST_STRENGTH, step=0.05,
    )
    text_share: float = setting(
        1.0,
        doc="Strength in text encoders, in multiples of strength: 1 is the same, 0 leaves them "
        "out.",
        minimum=-LARGEST_STRENGTH, maximum=LARGEST_STRENGTH, step=0.05, advanced=True,
    )
    dtype: str = setting(
        KEEP,
        doc="Number format of the new file; keep leaves each layer's. Differences (DoRA, OFT, "
        "full ones) are rounded to it once; fp32 has them to seven digits.",
        choices=(KEEP, *DTYPES), advanced=True,
    )
    lossy: bool = setting(False, doc=LOSSY, advanced=True)

    def __post_init__(self) -> None:
        validate(self)

    def strength_in(self, component: str) -> float:
        """The strength for a component."""
        return self.strength * (1.0 if component == NETWORK else self.text_share)


@dataclass(frozen=True, kw_only=True)
class BakedStrength:
    """A LoRA at another strength, not yet written.

    Attributes:
        conversion: what to write; its proof is against the source at the strength.
        dependent: layers that became differences of the connected model, and fit only that.
        misread: of these, what the stock loader applies otherwise than it was trained.
    """

    conversion: Conversion
    dependent: tuple[str, ...] = ()
    misread: tuple[str, ...] = ()


def bake_strength(
    reading: Reading,
    settings: StrengthSettings,
    weights: WeightTable | None = None,
    *,
    title: str = "baked",
    step: Callable[[], None] = lambda: None,
) -> BakedStrength:
    """Make strength 1 what another strength is.

    Args:
        reading: the file.
        settings: the strength.
        weights: the base model's weights, for DoRA, OFT and BOFT.
        title: of the new file.
        step: called after each layer.

    Raises:
        LoraFormatError: the strength is 0, something would be lost, a layer needs the base model,
            or the stock loader applies the source otherwise than it was trained.
    """
    if settings.strength == 0:
        raise LoraFormatError(
            "The strength to bake is 0, at which a LoRA does nothing",
            expected="another strength",
            remedy="Choose one, or take the LoRA out of the graph",
        )
    left_out = losses(reading, lossy=settings.lossy)
    if not reading.lora.layers:
        raise no_layer(reading, "baked")
    _check_read_right(reading)
    made: list[Layer] = []
    errors: dict[str, float] = {}
    dependent: list[Layer] = []
    for layer in reading.lora.layers:
        strength = settings.strength_in(layer.target.component)
        step()
        if strength == 0:
            continue
        depends = strength != 1 and _depends(layer)
        if depends and weights is None and settings.lossy:
            left_out.append(f"{layer.target} is {_kind(layer)}")
            continue
        baked, error = _baked(layer, strength, reading, settings, weights)
        (module,) = by_module([baked])
        errors[module] = max(error, errors.get(module, 0.0))
        made.append(baked)
        dependent += [layer] if depends else []
    conversion = finish(
        replace(reading.lora, layers=tuple(made), embeddings={}), reading.table,
        _own_metadata(reading, settings), title=title,
        embeddings=readable_embeddings(reading.lora), left_out=left_out,
    )
    # What writing cost comes on top of what baking did; a part's share counts for its module.
    written = conversion.proof.errors
    proof = Proof({name: error + errors.get(name, 0.0) for name, error in written.items()})
    return BakedStrength(
        conversion=replace(conversion, proof=proof),
        dependent=tuple(str(layer.target) for layer in dependent),
        misread=tuple(
            f"{layer.target} is {kind}" for layer in dependent
            if (kind := wrong_kind(layer, reading.table))
        ),
    )


def baked_name(path: Path, settings: StrengthSettings) -> str:
    """Name of the new file, beside its source."""
    text = "" if settings.text_share == 1 else f"_text_{settings.text_share:g}"
    return f"{path.stem}_at_{settings.strength:g}{text}.safetensors"


def _baked(
    layer: Layer, strength: float, reading: Reading, settings: StrengthSettings,
    weights: WeightTable | None,
) -> tuple[Layer, float]:
    """A layer as it will be written, and its relative error."""
    check_finite(layer, reading.path.name)
    exact = _exact(layer, strength, weights, reading.path.name)
    baked = _stored(exact, layer, DTYPES.get(settings.dtype))
    error = _error(exact, baked, reading.table)
    if error > limit_of([baked]):
        raise imprecise(
            f"{layer.target} at strength {strength:g} would be off by {error:.2g}", [baked]
        )
    return baked, error


def _depends(layer: Layer) -> bool:
    """Whether another strength of it is none of its own kind."""
    return layer.dora_scale is not None or algorithm_of(layer).needs_weight


def _kind(layer: Layer) -> str:
    return "DoRA" if layer.dora_scale is not None else algorithm_of(layer).title


def _exact(layer: Layer, strength: float, weights: WeightTable | None, name: str) -> Layer:
    """What is to be stored, what is new of it in float64."""
    if strength == 1:
        return layer
    if not _depends(layer):
        return algorithm_of(layer).at_strength(layer, strength)
    if weights is None:
        raise LoraFormatError(
            f"In {name}, {layer.target} is {_kind(layer)}, which at strength {strength:g} is "
            "another change of each model's weights",
            expected="the base model beside it, or a LoRA without such layers",
            remedy="Connect the model (and clip), or name its checkpoint (--base FILE)",
        )
    weight = weights.weight(layer.target)
    change = stock_change(layer, weight, strength)
    if not is_finite(change):
        raise LoraFormatError(
            f"{layer.target}, multiplied out with the base model, has values that are no numbers",
            expected="finite factors, magnitudes and weights",
            remedy="Check that the base model is the right one and whole, and inspect the LoRA",
        )
    return replace(
        layer, algorithm="diff", factors={"diff": change.reshape(weight.shape)}, alpha=None,
        dora_scale=None,
    )


def _stored(exact: Layer, source: Layer, dtype: torch.dtype | None) -> Layer:
    """A layer as the file will hold it."""
    if dtype is not None:
        made = cast(exact, dtype)
    else:
        own = common_dtype([source])
        made = replace(exact, factors={
            name: cast_tensor(tensor, own, exact) if tensor.dtype == torch.float64 else tensor
            for name, tensor in exact.factors.items()
        })
    return made if made.alpha is None else replace(made, alpha=as_stored(made.alpha))


def _error(exact: Layer, baked: Layer, table: ModuleTable) -> float:
    """Relative error of the change, or of a factor that is no part of its norm (a norm's bias)."""
    if exact is baked:
        return 0.0
    errors = [relative_error([exact], [baked], table)]
    for name, tensor in exact.factors.items():
        value = tensor.to(torch.float64)
        off = float((value - baked.factors[name].to(torch.float64)).norm())
        errors.append(off / float(value.norm()) if off else 0.0)
    return max(errors)


def _check_read_right(reading: Reading) -> None:
    """Refuse a file of which the stock loader makes something else than was trained.

    Whoever chose a strength there has seen something else than this LoRA at that strength.
    """
    wrong = next(_misreadings(reading), None)
    if wrong is not None:
        raise LoraFormatError(
            f"{reading.path.name} is not what ComfyUI's LoRA loader shows at a strength: "
            f"{wrong.text}",
            expected="a LoRA that it applies as it was trained",
            remedy=f"{wrong.remedy.rstrip(' .')}. Then choose the strength with the new file, and "
            "bake that one",
        )


def _misreadings(reading: Reading) -> Iterator[Finding]:
    names = stock_names(families()[reading.lora.family], reading.table)
    keys = list(reading.sizes)
    found = [*naming(reading, unread_keys(keys, names), len(keys)), *repeated(keys, names)]
    for check in (hidden_alpha, limited_rotations, kronecker_cores, vector_magnitudes):
        found += check(reading)
    return (finding for finding in found if finding.level == ERROR)


def _own_metadata(reading: Reading, settings: StrengthSettings) -> dict[str, str]:
    strengths = {
        "strength": settings.strength,
        "text_strength": settings.strength * settings.text_share,
    }
    return {
        "kiln_baked_from": as_text(described(reading.path)),
        "kiln_bake": as_text(strengths),
    }
