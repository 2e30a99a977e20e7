"""Which model a LoRA is for: by the table of real modules and by sizes, never by metadata alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch

from ..core.errors import LoraFormatError, shorten
from .algorithm import algorithm_of
from .assemble import Draft, drafts_of, misfit
from .family import families, table_of
from .finding import ERROR, WARNING, Finding
from .groups import Groups
from .ir import NETWORK, Target
from .resolve import targets_of
from .table import ModuleTable

AT_FAULT = ("transposed", "factors-do-not-fit", "magnitudes-do-not-fit")
"""What is the matter with a file itself, whatever model it is for."""


class Undetected(LoraFormatError):
    """It cannot be said which model a file is for.

    Args:
        rule: what stands in the way, as in :class:`~.finding.Finding`.
    """

    def __init__(self, rule: str, found: str, *, expected: str, remedy: str) -> None:
        super().__init__(found, expected=expected, remedy=remedy)
        self.rule = rule


@dataclass
class Match:
    """How a file fits a model.

    Attributes:
        family: the model's family.
        table: the model's modules.
        drafts: layers that fit, the first of duplicates, by target and whether they change its
            bias.
        misfits: layers with a name of this model and other sizes.
        findings: broken layers.
        twice: names of layers that the file holds twice, the one left out first.
        unknown: keys of modules that this model has not.
    """

    family: str
    table: ModuleTable
    drafts: dict[tuple[Target, bool], Draft] = field(default_factory=dict)
    misfits: list[Finding] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    twice: list[tuple[str, str]] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)


def match_table(
    groups: Groups, tensors: Mapping[str, torch.Tensor], family: str, table: ModuleTable
) -> Match:
    """Fit a file's modules to a model's.

    Args:
        groups: the file's keys by module.
        tensors: sizes by key, on the meta device.
        family: name of the model's family.
        table: its modules.
    """
    match = Match(family, table)
    for group in groups.modules.values():
        targets = targets_of(group.stem, table)
        if not targets:
            reason = f"{families()[family].title} has no module of that name"
            match.unknown |= dict.fromkeys([*group.keys.values(), *group.doubles], reason)
            continue
        best: tuple[list[Draft], list[Finding], list[Finding]] | None = None
        for target in targets:
            drafts, findings = drafts_of(group, target, tensors)
            bad = [fault for draft in drafts if (fault := misfit(draft, table))]
            if best is None or len(bad) < len(best[2]):
                best = (drafts, findings, bad)
        assert best is not None
        drafts, findings, bad = best
        match.findings += findings
        match.misfits += bad
        if not bad:
            _take(match, drafts)
    _drop_covered(match)
    if match.twice:
        match.findings.append(_repeated(match.twice))
    return match


def _take(match: Match, drafts: list[Draft]) -> None:
    for draft in drafts:
        place = (draft.layer.target, algorithm_of(draft.layer).changes_bias)
        twin = match.drafts.setdefault(place, draft)
        if twin.layer.algorithm != draft.layer.algorithm:
            match.findings.append(_two_changes(draft, twin))
        elif twin is not draft:
            match.twice.append((draft.stem, twin.stem))


def _drop_covered(match: Match) -> None:
    """A fused module and its parts in one file are the same thing twice: the fused one stays."""
    for (target, of_bias), draft in list(match.drafts.items()):
        twin = match.drafts.get((replace(target, rows=None), of_bias))
        if target.rows and twin is not None:
            match.twice.append((draft.stem, twin.stem))
            del match.drafts[target, of_bias]


def _two_changes(draft: Draft, kept: Draft) -> Finding:
    titles = " and ".join(algorithm_of(item.layer).title for item in (kept, draft))
    return Finding(
        "two-changes", ERROR, f"{draft.stem} has two changes of the same weight ({titles}), of "
        "which ComfyUI applies only one", "Ask the file's maker for one that has them merged",
        draft.stem,
    )


def _repeated(twice: list[tuple[str, str]]) -> Finding:
    left_out, kept = twice[0]
    layers = "a layer" if len(twice) == 1 else f"{len(twice)} layers"
    return Finding(
        "duplicate-target", WARNING,
        f"The file holds {layers} twice: {left_out} changes what {kept} changes",
        "Convert it: the new file has each layer once, under the second of these names", left_out,
    )


def detect(groups: Groups, tensors: Mapping[str, torch.Tensor], name: str) -> Match:
    """Find the family that a file is for.

    Args:
        groups: the file's keys by module.
        tensors: sizes by key, on the meta device.
        name: the file's name, for messages.

    Raises:
        LoraFormatError: no family fits, or several do.
    """
    matches = [
        match_table(groups, tensors, family, table_of(family)) for family in families()
    ]
    fitting = [match for match in matches if match.drafts and not match.misfits]
    near = max(matches, key=_nearness)
    if not fitting or _overrules(near, fitting):
        raise _no_family(matches, groups, name)
    most = max(len(match.drafts) for match in fitting)
    best = [match for match in fitting if len(match.drafts) == most]
    if len(best) > 1:
        raise _ambiguous(best, name)
    return best[0]


def _no_family(matches: list[Match], groups: Groups, name: str) -> LoraFormatError:
    near = max(matches, key=_nearness)
    known = ", ".join(family.title for family in families().values())
    expected = f"a LoRA for one of: {known}"
    if near.drafts or near.misfits:
        fault = min(near.misfits, key=lambda item: item.rule not in AT_FAULT)
        title = families()[near.family].title
        if fault.rule in AT_FAULT:
            return Undetected(fault.rule, fault.text, expected=expected, remedy=fault.remedy)
        return Undetected(
            "unknown-model", f"{name} is nearest to {title}, and does not fit it: {fault.text}",
            expected=expected, remedy="If it is for a model of another size or depth, connect "
            "that model, or name its checkpoint (--base FILE)",
        )
    broken = [fault for match in matches for fault in match.findings if fault.level == ERROR]
    if broken:
        return Undetected(broken[0].rule, broken[0].text, expected=expected,
                          remedy=broken[0].remedy)
    if groups.modules:
        stems = [group.stem for group in groups.modules.values()]
        return Undetected(
            "unknown-model", f"{name} is for a kind of model that LoRA Kiln does not know, so "
            f"nothing can be said of it: it changes {shorten(stems)}", expected=expected,
            remedy="ComfyUI may read it all the same: use it with the model it was trained on",
        )
    return Undetected(
        "no-lora", f"{name} holds no LoRA: no name in it ends as those of factors do",
        expected=expected, remedy="Look where you got it from what it is, and load it with the "
        "loader for its kind",
    )


def _overrules(near: Match, fitting: list[Match]) -> bool:
    """Whether a model that a file has misfits with is meant all the same.

    One that fits may know no more than the text encoder that it shares with the other.
    """
    drafts = max(len(match.drafts) for match in fitting)
    return len(near.drafts) + len(near.misfits) > drafts and len(near.drafts) >= drafts


def _nearness(match: Match) -> tuple[int, int]:
    """How much of a file a model explains; a fault of the file speaks for the model."""
    faults = sum(item.rule in AT_FAULT for item in match.misfits)
    return len(match.drafts) + len(match.misfits), len(match.drafts) + faults


def _ambiguous(best: list[Match], name: str) -> LoraFormatError:
    titles = _listed([families()[match.family].title for match in best], "or")
    components = {target.component for match in best for target, _ in match.drafts}
    what = "all of its layers fit each of them" if NETWORK in components else \
        "it changes only a text encoder that they share"
    return Undetected(
        "several-models",
        f"It cannot be told whether {name} is for {titles}: {what}",
        expected="modules that only one kind of model has",
        remedy="Connect the model, or name the family (--family "
        f"{_listed([match.family for match in best], 'or')})",
    )


def _listed(names: list[str], word: str) -> str:
    """``a, b and c``."""
    return f"{', '.join(names[:-1])} {word} {names[-1]}"


def wrong_base(match: Match, groups: Groups, tensors: Mapping[str, torch.Tensor]) -> Finding | None:
    """Name the family that a file fits instead of the given model, if it does not fit that."""
    if not match.misfits and match.drafts:
        return None
    others = [
        other
        for family in families()
        if family != match.family
        and (other := match_table(groups, tensors, family, table_of(family))).drafts
        and not other.misfits
    ]
    given = families()[match.family].title
    if not others:
        known = match.drafts or match.misfits or match.findings
        return None if known else _none_fits(groups, given)
    best = max(others, key=lambda other: len(other.drafts))
    title = families()[best.family].title
    return Finding(
        "wrong-base", ERROR,
        f"It is a LoRA for {title} and cannot work with {given}: {title} has a place for "
        f"{len(best.drafts)} of its {len(groups.modules)} layers, {given} for "
        f"{len(match.drafts) or 'none'}",
        f"Use it with a model of the kind {title}",
    )


def _none_fits(groups: Groups, given: str) -> Finding | None:
    stems = [group.stem for group in groups.modules.values()]
    if not stems:
        return None
    return Finding(
        "wrong-base", ERROR, f"It is no LoRA for {given}, so it does nothing there: {given} has "
        f"none of the modules that it changes ({shorten(stems)})",
        "Use it with the kind of model it was trained on",
    )
