"""Layers of every kind for a small SDXL, by whether their change is linear in the strength."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lora_kiln.lora_format.ir import Layer, Target
from lora_kiln.tests.lora_format.small_loras import (
    CONV,
    FEED,
    KEY,
    NORM,
    QUERY,
    TEXT,
    Maker,
    Tensors,
)


def plain(make: Maker) -> list[Layer]:
    """LoRA on a linear layer, a convolution and a text encoder."""
    return [make.lora(QUERY), make.lora(CONV), make.lora(TEXT, component="clip_l")]


def _without_alpha(make: Maker) -> list[Layer]:
    return [replace(layer, alpha=None) for layer in plain(make)]


def _core(make: Maker) -> list[Layer]:
    factors = {"lora_up": make.random(16, 5, 1, 1), "lora_mid": make.random(5, 5, 3, 3),
               "lora_down": make.random(5, 16, 1, 1)}
    return [Layer(target=Target("unet", CONV), algorithm="lora", alpha=2.0, factors=factors)]


def _loha_cores(make: Maker) -> list[Layer]:
    factors: Tensors = {}
    for half in (1, 2):
        factors |= {f"hada_w{half}_a": make.random(2, 16), f"hada_w{half}_b": make.random(2, 16),
                    f"hada_t{half}": make.random(2, 2, 3, 3)}
    return [Layer(target=Target("unet", CONV), algorithm="loha", alpha=1.0, factors=factors)]


def _lokr_both_low(make: Maker) -> list[Layer]:
    layer = make.lokr(QUERY)
    first = {"lokr_w1_a": make.random(4, 2), "lokr_w1_b": make.random(2, 4)}
    rest = {name: factor for name, factor in layer.factors.items() if name != "lokr_w1"}
    return [replace(layer, factors={**first, **rest})]


def _lokr_first_low(make: Maker) -> list[Layer]:
    (layer,) = _lokr_both_low(make)
    outputs, inputs = make.table.shape(layer.target)
    kept = {name: layer.factors[name] for name in ("lokr_w1_a", "lokr_w1_b")}
    return [replace(layer, factors={**kept, "lokr_w2": make.random(outputs // 4, inputs // 4)})]


def dora(make: Maker, *, inputs: bool) -> list[Layer]:
    """Weight decomposition of all algorithms that have it."""
    found = []
    for layer in (make.lora(QUERY), make.lora(CONV), make.loha(FEED), make.lokr(KEY)):
        outputs, width, *kernel = make.table.shape(layer.target)
        shape = (1, width) if inputs else (outputs, 1)
        scale = make.random(*shape, *[1] * len(kernel)).abs() + 0.5
        found.append(replace(layer, dora_scale=scale))
    return found


def _rotations(make: Maker, name: str, *, rescale: bool = False) -> list[Layer]:
    found = []
    for path in (QUERY, CONV):
        outputs, _, *kernel = make.table.shape(Target("unet", path))
        size = (outputs // 4, 4, 4) if name == "oft" else (2, outputs // 4, 4, 4)
        factors = {"oft_blocks": make.random(*size) * 0.3}
        if rescale:
            factors["rescale"] = make.random(outputs, 1, *[1] * len(kernel)).abs() + 0.5
        found.append(Layer(
            target=Target("unet", path), algorithm=name, factors=factors, alpha=0.0,
        ))
    return found


LINEAR: dict[str, Callable[[Maker], list[Layer]]] = {
    "lora": plain,
    "lora without alpha": _without_alpha,
    "lora with core": _core,
    "loha": lambda make: [make.loha(QUERY), make.loha(CONV)],
    "loha with cores": _loha_cores,
    "lokr": lambda make: [make.lokr(QUERY), make.lokr(CONV)],
    "lokr of whole sides": lambda make: [make.lokr(QUERY, None), make.lokr(CONV, None)],
    "lokr, both low": _lokr_both_low,
    "lokr, first low": _lokr_first_low,
    "difference": lambda make: [make.difference(QUERY), make.difference(CONV)],
    "bias": lambda make: [make.lora(QUERY), make.difference(FEED, bias=True)],
    "norm": lambda make: [make.norm(NORM)],
}
DEPENDENT: dict[str, Callable[[Maker], list[Layer]]] = {
    "dora over inputs": lambda make: dora(make, inputs=True),
    "dora over outputs": lambda make: dora(make, inputs=False),
    "oft": lambda make: _rotations(make, "oft"),
    "oft with rescale": lambda make: _rotations(make, "oft", rescale=True),
    "boft": lambda make: _rotations(make, "boft"),
    "boft with rescale": lambda make: _rotations(make, "boft", rescale=True),
}
