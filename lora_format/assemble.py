"""From a module's factors to layers of the in-memory form, with sizes checked against the model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from .algorithm import Algorithm, Origin, algorithms, check_filled
from .family import host_prefix
from .finding import ERROR, WARNING, Finding
from .groups import Group
from .ir import Layer, Target
from .scales import Scales
from .table import ModuleTable

SCALARS = ("alpha",)
SAVE_AGAIN = "Ask the file's maker for a whole file, or download it again"
BREAKING = ("lora_up", "hada_w1_a")
"""Factors that the stock loader takes up without looking whether the others are there."""


@dataclass(frozen=True)
class Draft:
    """A layer whose tensors are not read yet.

    Attributes:
        layer: with tensors on the meta device.
        keys: key of each factor, of ``alpha`` and of ``dora_scale``.
        stem: the module's name in the file.
    """

    layer: Layer
    keys: Mapping[str, str]
    stem: str


def drafts_of(
    group: Group, target: Target, tensors: Mapping[str, torch.Tensor]
) -> tuple[list[Draft], list[Finding]]:
    """Make layers of a group's factors.

    Args:
        group: keys of one module.
        target: the module.
        tensors: sizes by key, on the meta device.

    Returns:
        The layers, and what stands in the way of others.
    """
    found: list[Draft] = []
    findings = [_double(group, key) for key in group.doubles]
    factors = {name: tensors[key] for name, key in group.keys.items()}
    used = set(SCALARS)
    for algorithm in algorithms().values():
        own = {name: factors[name] for name in algorithm.factors if name in factors}
        if not own or not algorithm.is_complete(own):
            continue
        used |= set(own)
        layer = Layer(target=target, algorithm=algorithm.name, factors=own)
        if algorithm.decomposes:
            scale = factors.get("dora_scale", factors.get("magnitude"))
            layer = replace(layer, dora_scale=scale)
            used |= {"dora_scale", "magnitude"}
        found.append(Draft(layer, group.keys, group.stem))
    findings += [_orphan(group, name) for name in group.keys if name not in used]
    if not found and set(group.keys) <= set(SCALARS):
        findings.append(_orphan(group, "alpha"))
    return found, findings


def misfit(draft: Draft, table: ModuleTable) -> Finding | None:
    """Whether a layer's factors fit each other and the module."""
    layer = draft.layer
    algorithm = algorithms()[layer.algorithm]
    try:
        check_filled(layer)
        outputs, inputs = algorithm.shape(layer)
    except ValueError as error:
        return Finding(
            "factors-do-not-fit", ERROR, f"The factors of {draft.stem} do not fit each other: "
            f"{error}{_transposed_hint(layer)}", SAVE_AGAIN, draft.stem,
        )
    shape = table.shape(layer.target)
    wanted = (shape[0], 1 if algorithm.changes_bias else math.prod(shape[1:]))
    if outputs == wanted[0] and inputs in (wanted[1], -1):
        return _misfit_of_magnitudes(draft, shape)
    if (inputs, outputs) == wanted and outputs != inputs:
        return Finding(
            "transposed", ERROR, f"The factors of {draft.stem} are transposed: they make "
            f"{outputs} × {inputs}, and the module has {wanted[0]} × {wanted[1]}", SAVE_AGAIN,
            draft.stem,
        )
    return Finding(
        "wrong-widths", ERROR, f"{draft.stem} is made for {outputs} × {inputs} weights, and "
        f"{layer.target.module_path} has {wanted[0]} × {wanted[1]}",
        "Use the LoRA with the kind of model it was trained on", draft.stem,
    )


def _misfit_of_magnitudes(draft: Draft, shape: tuple[int, ...]) -> Finding | None:
    magnitudes = draft.layer.dora_scale
    if magnitudes is None or _magnitudes_fit(magnitudes, draft, shape):
        return None
    return Finding(
        "magnitudes-do-not-fit", ERROR, f"{draft.stem} has magnitudes of shape "
        f"{tuple(magnitudes.shape)} for a weight of {shape[0]} × {math.prod(shape[1:])}",
        SAVE_AGAIN, draft.stem,
    )


def _magnitudes_fit(scale: torch.Tensor, draft: Draft, shape: tuple[int, ...]) -> bool:
    """One for each output, or in LyCORIS' layout (1, in, …) one for each input."""
    if scale.ndim < 2 or "dora_scale" not in draft.keys:
        return scale.numel() == shape[0]
    over_outputs = scale.numel() == scale.shape[0] == shape[0]
    return over_outputs or (len(shape) > 1 and scale.numel() == scale.shape[1] == shape[1])


def finish(
    draft: Draft, tensor: Mapping[str, torch.Tensor], scales: Scales, table: ModuleTable
) -> tuple[Layer, list[Finding]]:
    """Give a layer its tensors and its alpha.

    Args:
        draft: the layer.
        tensor: real tensors by key.
        scales: alpha where no tensor has it.
        table: for the shape of the weight.
    """
    algorithm = algorithms()[draft.layer.algorithm]
    factors = {name: tensor[draft.keys[name]] for name in draft.layer.factors}
    layer = replace(draft.layer, factors=factors)
    findings: list[Finding] = []
    if draft.layer.dora_scale is not None:
        layer = replace(layer, dora_scale=_magnitudes(draft, tensor, table))
    if algorithm.has_alpha:
        alpha, findings = _alpha(draft, algorithm, layer, tensor, scales)
        layer = replace(layer, alpha=alpha)
    return algorithm.settled(layer, _origin(draft, scales)), findings


def _origin(draft: Draft, scales: Scales) -> Origin:
    return Origin(
        by_host=draft.stem.startswith(host_prefix(draft.layer.target.component)),
        scale=1.0 if "alpha" in draft.keys else scales.whole(draft.stem),
    )


def _alpha(
    draft: Draft, algorithm: Algorithm, layer: Layer,
    tensor: Mapping[str, torch.Tensor], scales: Scales,
) -> tuple[float | None, list[Finding]]:
    rank = algorithm.rank(layer)
    key = draft.keys.get("alpha")
    if key is None:
        if rank is None:
            return (0.0 if not algorithm.scaled else None), []
        return scales.alpha(draft.stem, rank), []
    value = tensor[key]
    if value.numel() != 1:
        return None, [Finding(
            "alpha-no-number", ERROR, f"{key} holds {value.numel()} values instead of one, so "
            "ComfyUI's LoRA loader breaks off at it and applies nothing", SAVE_AGAIN, key,
        )]
    if rank is None and algorithm.scaled:
        return None, []  # A Kronecker product of two whole sides: nobody reads its alpha.
    number = float(value.reshape(()).to(torch.float64))
    findings = []
    if algorithm.scaled and number == 0:
        findings.append(Finding(
            "alpha-zero", WARNING, f"{key} is 0, so the layer does nothing", SAVE_AGAIN, key
        ))
    return number, findings


def _magnitudes(
    draft: Draft, tensor: Mapping[str, torch.Tensor], table: ModuleTable
) -> torch.Tensor:
    """Of weight decomposition: LyCORIS' as they are, PEFT's vector is always over outputs."""
    shape = table.shape(draft.layer.target)
    key = draft.keys.get("dora_scale")
    if key is None:
        return _over_outputs(tensor[draft.keys["magnitude"]], shape)
    scale = tensor[key]
    return _over_outputs(scale, shape) if scale.ndim < 2 else scale


def _over_outputs(scale: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Magnitudes of outputs, shaped to multiply a weight: (out, 1, …)."""
    return scale.reshape(shape[0], *[1] * (len(shape) - 1))


def _double(group: Group, key: str) -> Finding:
    return Finding(
        "written-twice", WARNING, f"{key} repeats a factor of {group.stem} in another spelling",
        "The first one is used", key,
    )


def _orphan(group: Group, name: str) -> Finding:
    key = group.keys[name]
    follows = "ComfyUI's LoRA loader breaks off at it and applies nothing" if name in BREAKING \
        else "that layer does nothing"
    return Finding(
        "orphan-factor", ERROR, f"{key} stands alone, its counterpart is missing, so {follows}",
        SAVE_AGAIN, key,
    )


def _transposed_hint(layer: Layer) -> str:
    down, up = layer.factors.get("lora_down"), layer.factors.get("lora_up")
    if down is None or up is None or min(down.ndim, up.ndim) < 2:
        return ""
    if down.shape[1] == up.shape[0] and down.shape[0] != up.shape[1]:
        return " (they are transposed)"
    return ""

