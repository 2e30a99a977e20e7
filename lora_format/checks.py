"""What can be the matter with a LoRA beyond its names: strength, layout, values.

Each check looks at a file that was read and yields findings; ``CHECKS`` lists them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sized

import torch

from ..core.errors import shorten
from .algorithm import algorithm_of
from .bake import reads_wrongly
from .dtypes import is_finite
from .finding import ERROR, NOTE, WARNING, Finding
from .ir import NETWORK, Layer, Target
from .read import Reading

CONVERT = "Convert it (Convert LoRA, or kiln.py convert); the new file has alpha where it belongs"
WITH_BASE = "Convert it with the base model at hand (Convert LoRA with the model connected, or " \
    "kiln.py convert --base FILE)"
TRAIN_AGAIN = "Train it again, or take an earlier checkpoint"


def hidden_alpha(reading: Reading) -> Iterator[Finding]:
    """Alpha stands in metadata only, where ComfyUI does not look."""
    if not reading.scales.known:
        return
    factors = Counter(
        factor for layer in reading.lora.layers
        if "alpha" not in reading.keys[layer.target]
        and (factor := round(algorithm_of(layer).scale(layer), 4)) not in (0, 1)
    )
    if not factors:
        return
    factor, count = factors.most_common(1)[0]
    whole = count == len(reading.lora.layers)
    yield Finding(
        "hidden-alpha", ERROR,
        f"ComfyUI applies {'all ' if whole else f'{count} of '}{len(reading.lora.layers)} layers "
        f"at {1 / factor:.3g} times the strength they were trained with: their alpha stands only "
        "in the file's metadata or settings, where ComfyUI does not look",
        f"{CONVERT}. Or use it as it is at strength {factor:.3g}" if whole else CONVERT,
    )


def tiny_alpha(reading: Reading) -> Iterator[Finding]:
    """Alpha 1 everywhere: meant by some trainers, a slip of some mergers."""
    layers = [layer for layer in reading.lora.layers if layer.algorithm == "lora"]
    ranks = [algorithm_of(layer).rank(layer) or 1 for layer in layers]
    if layers and min(ranks) > 1 and all(layer.alpha == 1 for layer in layers):
        yield Finding(
            "alpha-one", WARNING,
            f"Alpha is 1 in all layers, so the LoRA acts at 1/{max(ranks)} of its factors: right "
            "if Kohya's scripts or ComfyUI trained it so, far too weak if a merger lost alpha",
            f"If it shows too little, raise the strength, up to {max(ranks)}",
        )


def tripled_rank(reading: Reading) -> Iterator[Finding]:
    """Fused q, k, v of three times the rank with the alpha of one part (sd-scripts 2204)."""
    layers = [layer for layer in reading.lora.layers if layer.algorithm == "lora"]
    others = Counter(_rank(layer) for layer in layers if not _parts(layer, reading))
    if not others:
        return
    usual = others.most_common(1)[0][0]
    alphas = {layer.alpha for layer in layers}
    weak = [
        layer for layer in layers
        if (parts := _parts(layer, reading)) and _rank(layer) == len(parts) * usual
        and _is_block_diagonal(layer, parts)
    ]
    if weak and len(alphas) == 1:
        times = _rank(weak[0]) // usual
        yield Finding(
            "tripled-rank", WARNING,
            f"ComfyUI applies {counted(weak, 'fused layer')} at 1/{times} of the strength: the "
            f"rank is {times} times that of the others at the same alpha, as bad mergers of q, k "
            "and v leave it",
            "Take the file from before that merge, and convert it with Convert LoRA",
            weak[0].target.module_path,
        )


def _rank(layer: Layer) -> int:
    return algorithm_of(layer).rank(layer) or 1


def _parts(layer: Layer, reading: Reading) -> list[Target]:
    """What a fused module consists of, when the layer is for all of it."""
    found = reading.table[layer.target.component].parts(layer.target.module_path)
    return [] if layer.target.rows else [target for _, target in found]


def _is_block_diagonal(layer: Layer, parts: list[Target]) -> bool:
    """Whether the first part's rows use no other columns than their own."""
    up, (start, stop) = layer.factors["lora_up"].flatten(1), parts[0].rows or (0, 0)
    return not bool(up[start:stop, up.shape[1] // len(parts):].any())


def decomposition(reading: Reading) -> Iterator[Finding]:
    """DoRA that ComfyUI applies wrongly."""
    wrong = [
        layer for layer in reading.lora.layers
        if layer.dora_scale is not None and reads_wrongly(layer, reading.table)
        and not _is_vector(layer.target, reading)
    ]
    if wrong:
        yield Finding(
            "dora-over-outputs", ERROR,
            f"ComfyUI applies {counted(wrong, 'layer')} wrongly: DoRA with magnitudes over "
            "outputs, for which it takes the norm of the weight without the LoRA",
            WITH_BASE, wrong[0].target.module_path,
        )


def scaled_rotations(reading: Reading) -> Iterator[Finding]:
    """OFT whose scales of rows ComfyUI passes over."""
    wrong = [layer for layer in reading.lora.layers if "rescale" in layer.factors]
    wrong = [layer for layer in wrong if reads_wrongly(layer, reading.table)]
    if wrong:
        yield Finding(
            "oft-rescale", ERROR,
            f"ComfyUI applies {counted(wrong, 'layer')} wrongly: OFT with scales of rows, which "
            "it passes over", WITH_BASE, wrong[0].target.module_path,
        )


def kronecker_cores(reading: Reading) -> Iterator[Finding]:
    """LoKr with a core: the loader fails at such layers, and says so only in its log."""
    wrong = [layer for layer in reading.lora.layers if "lokr_t2" in layer.factors]
    if wrong:
        yield Finding(
            "lokr-core", ERROR,
            f"ComfyUI fails at {counted(wrong, 'layer')} and goes on without: LoKr with Tucker's "
            "core", "Convert it (Convert LoRA, or kiln.py convert); the new file has the "
            "core multiplied in", wrong[0].target.module_path,
        )


def limited_rotations(reading: Reading) -> Iterator[Finding]:
    """OFT's alpha: not a scale but a limit, and ComfyUI takes it for a lower one than others."""
    alphas = {
        layer: float(reading.tensors[key].to(torch.float64)) for layer in reading.lora.layers
        if (key := reading.keys[layer.target].get("alpha"))
        and algorithm_of(layer).has_alpha and not algorithm_of(layer).scaled
    }
    limited = [layer for layer, alpha in alphas.items() if alpha > 0]
    if not limited:
        return
    titles = " and ".join(sorted({algorithm_of(layer).title for layer in limited}))
    weak = [layer for layer in limited if algorithm_of(layer).is_weakened(layer, alphas[layer])]
    if weak:
        yield Finding(
            "oft-limit", ERROR,
            f"ComfyUI applies {counted(weak, 'layer')} of {titles} too weakly: alpha is no scale "
            "there but a limit to the rotation, for each output, and ComfyUI takes it for the "
            "limit of all outputs together",
            "Convert it (Convert LoRA, or kiln.py convert); the new file has the limit multiplied "
            "in", weak[0].target.module_path,
        )
    else:
        yield Finding(
            "oft-limit", NOTE, f"Alpha in {counted(limited, 'layer')} of {titles} is no scale but "
            "a limit to the rotation, which they stay below", "There is nothing to do",
            limited[0].target.module_path,
        )


def vector_magnitudes(reading: Reading) -> Iterator[Finding]:
    """Magnitudes without a direction: the loader fails at some layers and misreads square ones."""
    flat = [target for target in reading.keys if _is_vector(target, reading)]
    if flat:
        yield Finding(
            "vector-magnitudes", ERROR,
            f"ComfyUI skips {counted(flat, 'layer')} with an error, or misreads square ones: it is "
            "DoRA whose magnitudes are plain vectors",
            WITH_BASE, flat[0].module_path,
        )


def _is_vector(target: Target, reading: Reading) -> bool:
    key = reading.keys[target].get("dora_scale")
    return key is not None and reading.sizes[key].ndim < 2


def broken_values(reading: Reading) -> Iterator[Finding]:
    """Factors, alphas and magnitudes that are not numbers."""
    broken = [
        layer for layer in reading.lora.layers
        if not all(map(is_finite, layer.factors.values()))
        or not math.isfinite(layer.alpha or 0.0)
        or not (layer.dora_scale is None or is_finite(layer.dora_scale))
    ]
    if broken:
        names = [layer.target.module_path for layer in broken]
        yield Finding(
            "not-a-number", ERROR, "Pictures turn black, because of values that are no numbers in "
            f"{counted(broken, 'layer')} ({shorten(names)})", TRAIN_AGAIN, names[0],
        )


def zero_layers(reading: Reading) -> Iterator[Finding]:
    """Layers whose product is zero: never trained, or merged with strength 0."""
    layers = [layer for layer in reading.lora.layers if not algorithm_of(layer).needs_weight]
    zero = [layer for layer in layers if algorithm_of(layer).is_zero(layer)]
    if zero:
        whole = len(zero) == len(layers)
        text = f"The LoRA does nothing: all of its {len(layers)} layers are zero, nothing was " \
            "learned" if whole else \
            f"A part of the LoRA does nothing: {len(zero)} of {len(layers)} layers are zero"
        yield Finding("zero-layers", ERROR if whole else WARNING, text, TRAIN_AGAIN,
                      zero[0].target.module_path)


def components(reading: Reading) -> Iterator[Finding]:
    """Which networks the LoRA changes."""
    found = Counter(layer.target.component for layer in reading.lora.layers)
    encoders = [name for name in found if name != NETWORK]
    if found and NETWORK not in found:
        yield Finding(
            "text-encoder-only", WARNING, f"It changes only text encoders ({', '.join(encoders)}), "
            "so it does nothing where no CLIP is connected",
            "Use Load LoRA (not the one for the model only) with CLIP connected, and take its CLIP "
            "for the prompts",
        )
    elif encoders:
        yield Finding(
            "text-encoder-part", NOTE,
            f"A part of it changes text encoders ({', '.join(encoders)})",
            "Connect CLIP to the LoRA loader, else that part is passed over, harmlessly for the "
            "rest",
        )


def counted(items: Sized, name: str) -> str:
    """``1 layer``, ``2 layers``."""
    return f"{len(items)} {name}{'' if len(items) == 1 else 's'}"


CHECKS: tuple[Callable[[Reading], Iterator[Finding]], ...] = (
    broken_values, vector_magnitudes, decomposition, scaled_rotations, limited_rotations,
    kronecker_cores, hidden_alpha, tripled_rank, tiny_alpha, zero_layers, components,
)
