"""Which model a LoRA is for: by the table of real modules and by sizes, never by metadata alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from ..core.errors import LoraFormatError, shorten
from .assemble import Draft, drafts_of, misfit
from .family import families, table_of
from .finding import ERROR, Finding
from .groups import Groups
from .ir import Target
from .resolve import targets_of
from .table import ModuleTable


@dataclass
class Match:
    """How a file fits a model.

    Attributes:
        family: the model's family.
        table: the model's modules.
        drafts: layers that fit, by target and algorithm, the first of duplicates.
        misfits: layers with a name of this model and other sizes.
        findings: broken or repeated layers.
        unknown: keys of modules that this model has not.
    """

    family: str
    table: ModuleTable
    drafts: dict[tuple[Target, str], Draft] = field(default_factory=dict)
    misfits: list[Finding] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
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
    return match


def _take(match: Match, drafts: list[Draft]) -> None:
    for draft in drafts:
        place = (draft.layer.target, draft.layer.algorithm)
        twin = match.drafts.setdefault(place, draft)
        if twin is not draft:
            match.findings.append(_duplicate(draft, twin))


def _drop_covered(match: Match) -> None:
    """A fused module and its parts in one file are the same thing twice: the fused one stays."""
    whole = {
        target.module_path: draft
        for (target, _), draft in match.drafts.items() if target.rows is None
    }
    for place, draft in list(match.drafts.items()):
        target = place[0]
        if target.rows and target.module_path in whole:
            match.findings.append(_duplicate(draft, whole[target.module_path]))
            del match.drafts[place]


def _duplicate(draft: Draft, twin: Draft) -> Finding:
    return Finding(
        "duplicate-target", "warning",
        f"{draft.stem} and {twin.stem} change the same module; applied together they count double",
        "The second one is left out", draft.stem,
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
    if not fitting:
        raise _no_family(matches, groups, name)
    most = max(len(match.drafts) for match in fitting)
    best = [match for match in fitting if len(match.drafts) == most]
    if len(best) > 1:
        raise _ambiguous(best, name)
    return best[0]


def _no_family(matches: list[Match], groups: Groups, name: str) -> LoraFormatError:
    near = max(matches, key=lambda match: len(match.drafts) + len(match.misfits))
    known = ", ".join(family.title for family in families().values())
    if near.drafts or near.misfits:
        found = f"{name} is nearest to {families()[near.family].title}, but " + near.misfits[0].text
    elif groups.modules:
        stems = [group.stem for group in groups.modules.values()]
        found = f"{name} has modules that no known model has: {shorten(stems)}"
    else:
        found = f"{name} has no LoRA in it"
    return LoraFormatError(
        found,
        expected=f"a LoRA for one of: {known}",
        remedy="If it is for a model of another size or depth, connect that model, or name its "
        "checkpoint (--base FILE)",
    )


def _ambiguous(best: list[Match], name: str) -> LoraFormatError:
    titles = [families()[match.family].title for match in best]
    return LoraFormatError(
        f"{name} fits {' and '.join(titles)} alike",
        expected="modules that only one kind of model has",
        remedy="Connect the model, or name the family (--family "
        f"{' or '.join(match.family for match in best)})",
    )


def wrong_base(match: Match, groups: Groups, tensors: Mapping[str, torch.Tensor]) -> Finding | None:
    """Name the family that a file fits instead of the given model, if there is one."""
    if not match.misfits and match.drafts:
        return None
    others = [
        other
        for family in families()
        if family != match.family
        and (other := match_table(groups, tensors, family, table_of(family))).drafts
        and not other.misfits
    ]
    if not others:
        return None
    best = max(others, key=lambda other: len(other.drafts))
    title, given = families()[best.family].title, families()[match.family].title
    return Finding(
        "wrong-base", ERROR,
        f"It is a LoRA for {title}: {len(best.drafts)} of its layers fit there, and "
        f"{len(match.drafts)} fit {given}",
        f"Use it with a {title} model",
    )
