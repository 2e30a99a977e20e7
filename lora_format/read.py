"""Reads a LoRA file of any format into the one in-memory form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from ..core.errors import LoraFormatError, shorten
from .assemble import finish
from .detect import Match, detect, match_table, wrong_base
from .finding import ERROR, LEVELS, Finding
from .format import formats_of
from .groups import Groups, group_keys
from .ir import Layer, LoraFile
from .scales import Scales, read_scales
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
    """

    path: Path
    formats: tuple[str, ...]
    lora: LoraFile
    table: ModuleTable
    findings: tuple[Finding, ...]
    scales: Scales = field(default_factory=Scales)

    @property
    def errors(self) -> list[Finding]:
        """What keeps the file, or a part of it, from working."""
        return [finding for finding in self.findings if finding.level == ERROR]


class _Tensors(Mapping[str, torch.Tensor]):
    """Real tensors by key, opened one by one."""

    def __init__(self, file: TensorFile) -> None:
        self._file = file

    def __getitem__(self, key: str) -> torch.Tensor:
        return self._file.tensor(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.header.entries)

    def __len__(self) -> int:
        return len(self._file.header.entries)


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
    groups = _choose(group_keys(file.header.entries), adapter, path.name)
    sizes = file.shapes()
    if base is not None:
        match = match_table(groups, sizes, base.family, base.table)
    elif not groups.modules and groups.embeddings:
        return _only_embeddings(file, groups)
    else:
        match = detect(groups, sizes, path.name)
    wrong = wrong_base(match, groups, sizes) if base is not None else None
    return _reading(file, groups, match, [wrong] if wrong else [])


def _choose(groups: Groups, adapter: str | None, name: str) -> Groups:
    names = [found for found in groups.adapters if found]
    if adapter is None:
        if len(names) > 1:
            raise LoraFormatError(
                f"{name} holds several adapters: {', '.join(names)}",
                expected="one adapter, or the name of one",
                remedy=f"Choose one (--adapter {names[0]})",
            )
        return groups
    if adapter not in names:
        raise LoraFormatError(
            f"{name} has no adapter '{adapter}'",
            expected=f"one of: {', '.join(names) or 'none; it names no adapters'}",
            remedy="Choose one of these, or none",
        )
    kept = {place: group for place, group in groups.modules.items() if place[1] in ("", adapter)}
    return replace(groups, modules=kept)


def _reading(
    file: TensorFile, groups: Groups, match: Match, findings: list[Finding]
) -> Reading:
    scales = read_scales(file.path, file.metadata)
    tensors = _Tensors(file)
    layers: list[Layer] = []
    findings = findings + match.misfits + match.findings
    for draft in match.drafts.values():
        layer, faults = finish(draft, tensors, scales, match.table)
        findings += faults
        if not any(fault.level == ERROR for fault in faults):
            layers.append(layer)
    unknown = dict(match.unknown)
    unknown |= dict.fromkeys(groups.unknown, "no known format ends a key like that")
    if unknown:
        findings.append(_unknown(unknown))
    lora = LoraFile(
        family=match.family,
        layers=tuple(layers),
        metadata=dict(file.metadata),
        embeddings=_embeddings(groups, tensors, file.path),
        unknown=unknown,
    )
    return Reading(
        path=file.path,
        formats=tuple(item.title for item in formats_of(file.header.entries)),
        lora=lora,
        table=match.table,
        findings=tuple(sorted(findings, key=lambda item: LEVELS.index(item.level))),
        scales=scales,
    )


def _only_embeddings(file: TensorFile, groups: Groups) -> Reading:
    lora = LoraFile(
        family="sdxl",
        layers=(),
        metadata=dict(file.metadata),
        embeddings=_embeddings(groups, _Tensors(file), file.path),
        unknown={},
    )
    titles = tuple(item.title for item in formats_of(file.header.entries)) or ("embedding",)
    return Reading(
        path=file.path, formats=titles, lora=lora, table=ModuleTable({}), findings=()
    )


def _embeddings(
    groups: Groups, tensors: Mapping[str, torch.Tensor], path: Path
) -> dict[str, dict[str, torch.Tensor]]:
    return {
        trigger or path.stem: {part: tensors[key] for part, key in keys.items()}
        for trigger, keys in groups.embeddings.items()
    }


def _unknown(unknown: Mapping[str, str]) -> Finding:
    reasons: dict[str, list[str]] = {}
    for key, reason in unknown.items():
        reasons.setdefault(reason, []).append(key)
    text = "; ".join(f"{shorten(keys)} ({reason})" for reason, keys in reasons.items())
    return Finding(
        "not-understood", ERROR, f"{len(unknown)} keys are not understood: {text}",
        "Convert with --lossy to leave them out, or get the file in another format",
    )
