"""Pictures that look alike."""

from __future__ import annotations

from collections.abc import Iterator

from ....core.errors import shorten
from ...items import DatasetItem
from ..context import LintContext
from ..copies import near_groups, set_aside
from ..finding import WARNING, Finding
from ..rule import Rule

NAME = "near-duplicate"


def _check(context: LintContext) -> Iterator[Finding]:
    for group in near_groups(context):
        roles = {item.role for item in group}
        if len(roles) == 1:
            yield _finding(context, group)


def _finding(context: LintContext, group: list[DatasetItem]) -> Finding:
    names = [item.name for item in group]
    looks = {
        item.name: context.looks.of(item, context.dataset.background) for item in group
    }
    # The largest stays; of equals the first.
    best = max(group, key=lambda one: looks[one.name].width_px * looks[one.name].height_px)
    others = [item for item in group if item is not best]
    return Finding(
        NAME, WARNING,
        f"{shorten(names)} are nearly the same picture, saved or scaled differently or a moment "
        "apart: what they show counts as often.",
        tuple(names), fix=set_aside(context, others, f"; {best.file}, the largest, stays"),
    )


RULE = Rule(
    name=NAME,
    doc="Pictures that look alike though their files differ: scaled, recompressed, or two frames "
    "of one moment. Mirrored, turned and recoloured copies are not seen.",
    check=_check,
    fixes="offers to move all but the largest to rejected/, with captions and masks",
    decodes=True,
)
