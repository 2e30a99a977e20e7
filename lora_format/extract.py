"""A LoRA of the difference between two models, module by module.

Each difference is approximated by a cut singular value decomposition; only one module is in memory
at a time. What is kept of it is measured on the factors as they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch

from ..core.errors import LoraFormatError, shorten
from ..core.settings import setting, validate
from .compare import BIAS, Compared
from .convert import Conversion
from .dtypes import DTYPES, cast
from .edited import KeptModule, KeptModules, as_text, finish
from .ir import Layer, LoraFile
from .low_rank import EXACT_SIDE, Limit, as_lora, cut_matrix, kept_energy
from .ranks import LARGEST_RANK
from .read import Base

LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class ExtractSettings:
    """What to keep of a difference."""

    rank: int = setting(
        32, doc="Largest rank of a layer. Small changes of a whole finetune need 64 or more; what "
        "a LoRA was merged into needs that LoRA's rank.",
        minimum=1, maximum=LARGEST_RANK, step=1,
    )
    energy: float = setting(
        1.0,
        doc="Share of each layer's difference (its squared norm) to keep, with as few ranks as do. "
        "At 1 only the rank counts.",
        minimum=0.01, maximum=1.0, step=0.01,
    )
    threshold: float = setting(
        1e-4,
        doc="Layers whose difference is below this share of the weight's norm are left out. So "
        "are those in which the models differ only by the rounding of their number formats.",
        minimum=0.0, maximum=1.0, step=0.0001, advanced=True,
    )
    differences: bool = setting(
        False,
        doc="Also store what changed in biases and norms. They are small, and ComfyUI reads them; "
        "few other programs do.",
        advanced=True,
    )
    dtype: str = setting(
        "fp16", doc="Number format of the new file.", choices=tuple(DTYPES), advanced=True
    )
    seed: int = setting(
        0, doc="Of the random subspace in which large layers are decomposed.",
        minimum=0, maximum=LARGEST_SEED, step=1, advanced=True,
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True)
class ExtractedModule(KeptModule):
    """How a module came out.

    Attributes:
        relative: norm of the difference over the weight's norm.
    """

    relative: float


@dataclass
class Extraction(KeptModules[ExtractedModule]):
    """What came out of the differences.

    Attributes:
        layers: of the LoRA.
        modules: the proof, a line for each layer.
        equal: how many parameters do not differ, or less than the threshold.
        vectors: biases and norms that differ and were not asked for.
        left_out: differences that a LoRA cannot hold.
    """

    layers: list[Layer] = field(default_factory=list)
    modules: list[ExtractedModule] = field(default_factory=list)
    equal: int = 0
    vectors: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def extract(
    pairs: Iterable[Compared],
    settings: ExtractSettings,
    *,
    device: torch.device | None = None,
    step: Callable[[], None] | None = None,
) -> Extraction:
    """Turn differences into layers.

    Args:
        pairs: parameters of both models, one after the other.
        settings: what to keep.
        device: where to compute, if that is CUDA. Others have no float64 or no decompositions,
            so for them, and by default, it is the CPU.
        step: called after each pair, for progress.

    Raises:
        LoraFormatError: a weight is not finite, or a value too large for the dtype.
    """
    found = Extraction()
    if device is None or device.type != "cuda":
        device = torch.device("cpu")
    for pair in pairs:
        _take(pair, settings, found, device)
        del pair  # Else it would stay in memory beside the next one.
        if step is not None:
            step()
    return found


def extracted_lora(
    found: Extraction,
    base: Base,
    settings: ExtractSettings,
    sources: Mapping[str, object],
    *,
    title: str,
) -> Conversion:
    """The LoRA of an extraction, ready to be written.

    Args:
        found: the layers.
        base: the model's family and modules.
        settings: for the metadata.
        sources: what the two models were, for the metadata.
        title: of the new file.

    Raises:
        LoraFormatError: the models do not differ, or in nothing that is to be stored.
    """
    if not found.layers:
        raise _nothing(found)
    own = {
        "kiln_extracted_from": as_text(sources),
        "kiln_extract": as_text({
            "rank": settings.rank, "energy": settings.energy, "threshold": settings.threshold,
            "kept": round(found.kept, 6),
        }),
    }
    lora = LoraFile(family=base.family, layers=tuple(found.layers))
    return finish(lora, base.table, own, title=title, left_out=found.left_out)


def _nothing(found: Extraction) -> LoraFormatError:
    if found.vectors or found.left_out:
        others = shorten([*found.vectors, *found.left_out])
        return LoraFormatError(
            f"The two models differ only in what is not to be stored, or a LoRA cannot hold: "
            f"{others}",
            expected="layers with matrices that differ",
            remedy="Switch differences on to store biases and norms",
        )
    return LoraFormatError(
        f"The two models do not differ in any of {found.equal} parameters",
        expected="a model and one that was tuned from it",
        remedy="Check that these are different models; a lower threshold takes smaller differences "
        "too",
    )


def _take(
    pair: Compared, settings: ExtractSettings, found: Extraction, device: torch.device
) -> None:
    name = f"{pair.target} (bias)" if pair.kind == BIAS else str(pair.target)
    if pair.tuned.shape != pair.original.shape:
        sizes = " and ".join(str(tuple(t.shape)) for t in (pair.tuned, pair.original))
        found.left_out.append(f"{name} has the sizes {sizes}")
        return
    change, norm, relative = _difference(pair, device)
    if relative <= max(settings.threshold, _rounding(pair)):
        found.equal += 1
    elif pair.kind == BIAS or change.ndim < 2:
        _take_vector(pair, change, name, settings, found, norm, relative)
    else:
        layer, kept = _decomposed(pair, change, settings)
        found.layers.append(layer)
        found.modules.append(ExtractedModule(
            module=name, rank=int(layer.factors["lora_down"].shape[0]), relative=relative,
            kept=kept, energy=norm**2,
        ))


def _difference(pair: Compared, device: torch.device) -> tuple[torch.Tensor, float, float]:
    """The difference, its norm, and that over the weight's norm."""
    size, outputs = pair.original.numel(), (*pair.original.shape, 1)[0]
    small = min(outputs, size // max(1, outputs)) <= EXACT_SIDE and device.type == "cpu"
    precision = torch.float64 if small else torch.float32
    original = pair.original.to(device, precision)
    change = pair.tuned.to(device, precision) - original
    norm, whole = (float(torch.linalg.vector_norm(t)) for t in (change, original))
    if not norm < float("inf"):
        raise LoraFormatError(
            f"{pair.target} has values that are no numbers in one of the models",
            expected="finite weights",
            remedy="Get the model again; this file is broken",
        )
    return change, norm, norm / whole if whole else float(norm > 0)


def _rounding(pair: Compared) -> float:
    """Relative difference that two number formats alone may make."""
    dtypes = {pair.tuned.dtype, pair.original.dtype}
    if len(dtypes) == 1:
        return 0.0
    return max((torch.finfo(d).eps / 2 for d in dtypes if d.is_floating_point), default=0.0)


def _take_vector(
    pair: Compared, change: torch.Tensor, name: str, settings: ExtractSettings,
    found: Extraction, norm: float, relative: float,
) -> None:
    if not settings.differences:
        found.vectors.append(name)
        return
    algorithm, factor = ("bias", "diff_b") if pair.kind == BIAS else ("diff", "diff")
    layer = Layer(target=pair.target, algorithm=algorithm, factors={factor: change.cpu()})
    found.layers.append(cast(layer, DTYPES[settings.dtype]))
    found.modules.append(ExtractedModule(
        module=name, rank=None, relative=relative, kept=1.0, energy=norm**2
    ))


def _decomposed(
    pair: Compared, change: torch.Tensor, settings: ExtractSettings
) -> tuple[Layer, float]:
    matrix = change.flatten(1)
    up, down = cut_matrix(matrix, Limit(settings.rank, settings.energy), settings.seed)
    shape, dtype = tuple(change.shape), DTYPES[settings.dtype]
    layer = as_lora(pair.target, (up.cpu(), down.cpu()), shape, dtype)
    return layer, kept_energy(matrix, layer)
