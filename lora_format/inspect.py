"""Why does my LoRA do nothing? A file in numbers, findings, and one sentence with its remedy."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..core.errors import KilnError
from .algorithm import algorithm_of
from .bake import WeightTable, total_change
from .checks import CHECKS
from .detect import Undetected
from .family import families
from .finding import ERROR, LEVELS, NOTE, Finding
from .groups import EMBEDDING
from .ir import Layer
from .kinds import Kind, foreign_kind
from .naming import naming, repeated, words
from .proof import layer_norm
from .read import Base, Reading, read
from .stock_names import stock_names, unread_keys
from .tensors import TensorFile
from .verdict import IN_ORDER, decisive, sentence
from .versions import too_old


@dataclass(frozen=True, kw_only=True)
class LayerFacts:
    """One layer in numbers.

    Attributes:
        component, module: what it changes.
        algorithm, rank, alpha: how.
        norm: Frobenius norm of the change at strength 1; None where it needs the base model.
        relative: norm over the weight's norm, where the base model is at hand.
    """

    component: str
    module: str
    algorithm: str
    rank: int | None
    alpha: float | None
    norm: float | None
    relative: float | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is known about a file.

    Attributes:
        path: the file.
        verdict: one sentence.
        remedy: the next one.
        works: whether the stock loader applies all of it as it was trained.
        rule: of the finding that decided; ``in-order`` where nothing is the matter.
        formats: titles of its formats.
        family: title of the model family.
        matched: keys that the stock loader reads.
        unmatched: keys that it passes over.
        layers: in the order of the file.
        findings: from worst to least.
        metadata: strings of its header.
    """

    path: str
    verdict: str
    remedy: str
    works: bool
    rule: str
    formats: tuple[str, ...] = ()
    family: str = ""
    matched: int = 0
    unmatched: tuple[str, ...] = ()
    layers: tuple[LayerFacts, ...] = ()
    findings: tuple[Finding, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def counts(self, attribute: str) -> dict[str, int]:
        """How many layers there are by ``algorithm``, ``rank``, ``alpha`` or ``component``."""
        counted = Counter(getattr(layer, attribute) for layer in self.layers)
        return {f"{value:g}" if isinstance(value, float) else str(value): count
                for value, count in counted.most_common()}

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def inspect(
    path: Path,
    base: Base | None = None,
    adapter: str | None = None,
    weights: WeightTable | None = None,
    comfyui_version: str | None = None,
) -> Report:
    """Look at a file; a broken one gets a verdict, never an exception.

    Args:
        path: the file.
        base: the model that it shall fit, if one is at hand.
        adapter: which one to look at when there are several.
        weights: the model's weights, for relative norms and rotations.
        comfyui_version: of the ComfyUI that shall load it; without one, it is not too old.
    """
    try:
        keys = list(TensorFile(path).header.entries)
    except KilnError as error:
        return _refused(path, "not-a-file", error)
    kind = foreign_kind(keys)
    if kind is not None:
        return _of_kind(path, kind)
    try:
        reading = read(path, base, adapter)
    except Undetected as error:
        return _refused(path, error.rule, error)
    except KilnError as error:
        return _refused(path, "not-understood", error)
    return _of_reading(reading, keys, weights, comfyui_version)


def _refused(path: Path, rule: str, error: KilnError) -> Report:
    return _report(path, [Finding(rule, ERROR, error.found, error.remedy)])


def _of_kind(path: Path, kind: Kind) -> Report:
    finding = Finding("another-kind", kind.level, kind.text, kind.remedy)
    return _told(path, finding, works=kind.level != ERROR, findings=(finding,))


def _of_reading(
    reading: Reading, keys: list[str], weights: WeightTable | None, comfyui_version: str | None
) -> Report:
    family = families()[reading.lora.family]
    names = stock_names(family, reading.table)
    of_lora = [key for key in keys if not key.startswith(EMBEDDING)]
    unread = unread_keys(of_lora, names) if reading.table.networks else []
    findings = [*reading.findings]
    for check in CHECKS:
        findings += check(reading)
    findings += naming(reading, unread, len(of_lora))
    findings += repeated(of_lora, names)
    findings += words(reading)
    if comfyui_version is not None:
        old = too_old(set(of_lora) - set(unread), family.read_since, comfyui_version)
        findings += [old] if old else []
    return _report(
        reading.path,
        findings,
        formats=reading.formats,
        family=family.title,
        matched=len(of_lora) - len(unread) if reading.table.networks else 0,
        unmatched=tuple(unread),
        layers=tuple(_facts(layer, weights) for layer in reading.lora.layers),
        metadata=dict(reading.lora.metadata),
    )


def _report(path: Path, found: list[Finding], **facts: Any) -> Report:
    findings = tuple(sorted(found, key=lambda finding: LEVELS.index(finding.level)))
    worst = decisive(findings)
    works = not any(finding.level == ERROR for finding in findings)
    if worst is None:
        worst = Finding(
            IN_ORDER, NOTE,
            f"This LoRA for {facts['family']} is in order: ComfyUI's LoRA loader reads all "
            f"{facts['matched']} keys of its {len(facts['layers'])} layers",
            "If it shows no effect, raise the strength, and use the prompt words that it was "
            "trained with",
        )
    return _told(path, worst, works=works, findings=findings, **facts)


def _told(path: Path, worst: Finding, **facts: Any) -> Report:
    return Report(
        path=str(path), rule=worst.rule, verdict=sentence(worst.text),
        remedy=sentence(worst.remedy), **facts,
    )


def _facts(layer: Layer, weights: WeightTable | None) -> LayerFacts:
    algorithm = algorithm_of(layer)
    weight = _weight(layer, weights)
    norm = _norm(layer, weight)
    relative = None
    if weight is not None and norm is not None:
        relative = _finite(norm / max(float(weight.to(torch.float32).norm()), 1e-30))
    return LayerFacts(
        component=layer.target.component,
        module=str(layer.target).partition(": ")[2],
        algorithm=algorithm.title + (" (DoRA)" if layer.dora_scale is not None else ""),
        rank=algorithm.rank(layer),
        alpha=None if layer.alpha is None else _finite(layer.alpha),
        norm=norm,
        relative=relative,
    )


def _weight(layer: Layer, weights: WeightTable | None) -> torch.Tensor | None:
    """What a layer changes, if it is at hand: a UNet alone has no text encoders."""
    if weights is None or algorithm_of(layer).changes_bias:
        return None
    try:
        return weights.weight(layer.target)
    except KilnError:
        return None


def _norm(layer: Layer, weight: torch.Tensor | None) -> float | None:
    """‖ΔW‖ at strength 1; None where it is no number, or depends on a weight not at hand."""
    if layer.dora_scale is None and not algorithm_of(layer).needs_weight:
        norm = layer_norm(layer)
    elif weight is not None:
        norm = float(total_change(layer, weight).norm())
    else:
        return None
    return _finite(norm)


def _finite(number: float) -> float | None:
    """A number as it is, and None for what is none; JSON has no word for it."""
    return number if math.isfinite(number) else None
