"""Pictures that are there twice, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator

from ....core.errors import shorten
from ...items import DatasetItem
from ..context import LintContext
from ..copies import exact_groups, set_aside
from ..finding import WARNING, Finding
from ..rule import Rule

NAME = "exact-duplicate"


def _check(context: LintContext) -> Iterator[Finding]:
    roles: dict[str, list[DatasetItem]] = {}
    for item in context.dataset.items:
        roles.setdefault(item.role, []).append(item)
    for items in roles.values():
        for group in exact_groups(items):
            yield _finding(context, group)


def _finding(context: LintContext, group: list[DatasetItem]) -> Finding:
    names = [item.name for item in group]
    captions = {item.caption for item in group}
    differ = "" if len(captions) == 1 else ", and their captions differ"
    return Finding(
        NAME, WARNING,
        f"{shorten(names)} are the same file{differ}: the picture counts {len(names)} times.",
        tuple(names), fix=set_aside(context, group[1:], f"; {group[0].file} stays"),
    )


RULE = Rule(
    name=NAME,
    doc="Pictures of the same bytes within one role: each counts as a picture of its own, and is "
    "learned that much sooner by heart.",
    check=_check,
    fixes="offers to move all but the first to rejected/, with captions and masks",
)
