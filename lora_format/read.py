"""Reads a LoRA file of any format into the one in-memory form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from ..core.errors import LoraFormatError, shorten
from .assemble import finish
from .detect import Match, detect, match_table, wrong_base
from .finding import ERROR, LEVELS, Finding
from .format import Written, formats_of
from .groups import Groups, family_of_words, group_keys
from .ir import Layer, LoraFile, Target
from .kinds import foreign_kind
from .scales import CONFIG_NAME, Scales, read_scales, scales_of
from .table import ModuleTable
from .tensors import TensorFile


@dataclass(frozen=True, kw_only=True)
class Base:
    """The model that a LoRA shall fit.

    Attributes:
        family: name of its family.
        table: its modules.
    """

    family: str
    table: ModuleTable


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a file holds, and what is the matter with it.

    Attributes:
        path: the file.
        formats: titles of the formats it is written in.
        lora: the in-memory form; its tensors lie in the file.
        table: modules of the model it was read for.
        findings: from worst to least.
        scales: alphas outside of tensors.
        keys: the file's keys by target and factor.
        sizes: all tensors on the meta device.
        tensors: real tensors by key, opened when asked for.
    """

    path: Path
    formats: tuple[str, ...]
    lora: LoraFile
    table: ModuleTable
    findings: tuple[Finding, ...]
    scales: Scales = field(default_factory=Scales)
    keys: Mapping[Target, Mapping[str, str]] = field(default_factory=dict)
    sizes: Mapping[str, torch.Tensor] = field(default_factory=dict)
    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @property
    def errors(self) -> list[Finding]:
        """What keeps the file, or a part of it, from working."""
        return [finding for finding in self.findings if finding.level == ERROR]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where tensors come from: a file, or what was just made.

    Attributes:
        path: the file, or the one it shall become.
        sizes: all tensors on the meta device.
        tensors: real tensors by key, opened when asked for.
        metadata: strings of the header.
        scales: alphas outside of tensors.
    """

    path: Path
    sizes: Mapping[str, torch.Tensor]
    tensors: Mapping[str, torch.Tensor]
    metadata: Mapping[str, str]
    scales: Scales


def read(path: Path, base: Base | None = None, adapter: str | None = None) -> Reading:
    """Read a LoRA file.

    Args:
        path: a safetensors file.
        base: the model it shall fit; without one its family is found by names and sizes.
        adapter: which one to take when the file holds several.

    Returns:
        Layers that fit, and findings about those that do not.

    Raises:
        LoraFormatError: it is no LoRA file, fits no known model or several, or holds several
            adapters and none is chosen.
    """
    file = TensorFile(path)
    source = Source(
        path=path,
        sizes=file.shapes(),
        tensors=file,
        metadata=file.metadata,
        scales=read_scales(path, file.metadata, file.header.entries),
    )
    return read_source(source, base, adapter)


def read_written(written: Written, path: Path, base: Base) -> LoraFile:
    """The in-memory form of what a writer made, by the same reader as files.

    Raises:
        LoraFormatError: it cannot be read back whole.
    """
    source = Source(
        path=path,
        sizes={key: tensor.to("meta") for key, tensor in written.tensors.items()},
        tensors=written.tensors,
        metadata=written.metadata,
        scales=scales_of(written.metadata, written.beside.get(CONFIG_NAME)),
    )
    reading = read_source(source, base)
    if reading.errors:
        raise LoraFormatError(
            f"What was made of {path.name} cannot be read back: {reading.errors[0].text}",
            expected="a file that is understood whole",
            remedy="Please report this file; nothing was written",
        )
    return reading.lora


def read_source(source: Source, base: Base | None, adapter: str | None = None) -> Reading:
    """Read tensors from anywhere; see :func:`read`."""
    kind = foreign_kind(source.sizes)
    if kind is not None:
        raise LoraFormatError(
            f"{source.path.name} cannot be read as a LoRA. {kind.text}",
            expected="a LoRA of a kind that can be converted",
            remedy=kind.remedy,
        )
    groups = _choose(group_keys(source.sizes), adapter, source.path.name)
    if base is None and not groups.modules and groups.embeddings:
        return _only_embeddings(source, groups)
    if base is None:
        return _reading(source, groups, detect(groups, source.sizes, source.path.name), [])
    match = match_table(groups, source.sizes, base.family, base.table)
    wrong = wrong_base(match, groups, source.sizes)
    return _reading(source, groups, match, [wrong] if wrong else [])


def _choose(groups: Groups, adapter: str | None, name: str) -> Groups:
    names = [found for found in groups.adapters if found]
    if adapter is None:
        if len(names) > 1:
            raise LoraFormatError(
                f"{name} holds several adapters: {shorten(names, 9)}",
                expected="one adapter, or the name of one",
                remedy=f"Choose one (--adapter {names[0]})",
            )
        return groups
    if adapter not in names:
        raise LoraFormatError(
            f"{name} has no adapter '{adapter}'",
            expected=f"one of: {shorten(names, 9) or 'none; it names no adapters'}",
            remedy="Choose one of these, or none",
        )
    kept = {place: group for place, group in groups.modules.items() if place[1] in ("", adapter)}
    return replace(groups, modules=kept)


def _reading(source: Source, groups: Groups, match: Match, findings: list[Finding]) -> Reading:
    layers: list[Layer] = []
    findings = findings + match.misfits + match.findings
    for draft in match.drafts.values():
        layer, faults = finish(draft, source.tensors, source.scales, match.table)
        findings += faults
        if not any(fault.level == ERROR for fault in faults):
            layers.append(layer)
    unknown = dict(match.unknown)
    unknown |= dict.fromkeys(groups.unknown, "no known format ends a key like that")
    if unknown:
        findings.append(_unknown(unknown))
    if source.scales.unread and any("alpha" not in draft.keys for draft in match.drafts.values()):
        findings.append(_unread_patterns(source.scales.unread))
    lora = LoraFile(
        family=match.family,
        layers=tuple(layers),
        metadata=dict(source.metadata),
        embeddings=_embeddings(source, groups),
        unknown=unknown,
    )
    return Reading(
        path=source.path,
        formats=tuple(item.title for item in formats_of(source.sizes)),
        lora=lora,
        table=match.table,
        findings=tuple(sorted(findings, key=lambda item: LEVELS.index(item.level))),
        scales=source.scales,
        keys={target: draft.keys for (target, _), draft in match.drafts.items()},
        sizes=source.sizes,
        tensors=source.tensors,
    )


def _only_embeddings(source: Source, groups: Groups) -> Reading:
    lora = LoraFile(
        family=family_of_words(groups),
        layers=(),
        metadata=dict(source.metadata),
        embeddings=_embeddings(source, groups),
    )
    titles = tuple(item.title for item in formats_of(source.sizes)) or ("embedding",)
    return Reading(
        path=source.path, formats=titles, lora=lora, table=ModuleTable({}), findings=()
    )


def _embeddings(source: Source, groups: Groups) -> dict[str, dict[str, torch.Tensor]]:
    return {
        trigger or source.path.stem: {part: source.tensors[key] for part, key in keys.items()}
        for trigger, keys in groups.embeddings.items()
    }


def _unread_patterns(patterns: list[str]) -> Finding:
    return Finding(
        "alpha-pattern", ERROR,
        f"The file's settings give alphas or ranks by regular expression ({shorten(patterns)}), "
        "and a stranger's expressions are not run",
        "Save the LoRA again with plain module names as patterns, or with alpha in the file",
    )


def _unknown(unknown: Mapping[str, str]) -> Finding:
    reasons: dict[str, list[str]] = {}
    for key, reason in unknown.items():
        reasons.setdefault(reason, []).append(key)
    text = "; ".join(f"{shorten(keys)} ({reason})" for reason, keys in reasons.items())
    return Finding(
        "not-understood", ERROR, f"{len(unknown)} of its keys are not understood, and ComfyUI's "
        f"LoRA loader passes them over: {text}",
        "Get the file in another format, or convert it with lossy on (--lossy), which leaves them "
        "out",
    )
