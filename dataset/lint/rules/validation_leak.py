"""Held-out pictures that are trained on."""

from __future__ import annotations

from collections.abc import Iterator

from ....core.errors import shorten
from ...items import VALIDATION, DatasetItem
from ..context import LintContext
from ..copies import exact_groups, near_groups, set_aside
from ..finding import WARNING, Finding
from ..rule import Rule

NAME = "validation-leak"


def _check(context: LintContext) -> Iterator[Finding]:
    if not any(item.role == VALIDATION for item in context.dataset.items):
        return
    told: set[str] = set()
    exact = exact_groups(context.dataset.items)
    for group, how in [(g, "the same file as") for g in exact] + [
        (g, "nearly the same picture as") for g in near_groups(context)
    ]:
        for finding in _findings(context, group, how):
            if finding.items[0] not in told:
                told.add(finding.items[0])
                yield finding


def _findings(context: LintContext, group: list[DatasetItem], how: str) -> Iterator[Finding]:
    trained = [item for item in group if item.role != VALIDATION]
    for item in group:
        if item.role == VALIDATION and trained:
            names = [one.name for one in trained]
            yield Finding(
                NAME, WARNING,
                f"{item.name} is held out for validation and is {how} {shorten(names)}, which is "
                "trained on: its score will tell what was learned by heart.",
                (item.name, *names),
                fix=set_aside(context, [item], "; it is trained on elsewhere"),
            )


RULE = Rule(
    name=NAME,
    doc="A picture held out for validation that is also trained on, the same or nearly so. The "
    "validation loss then falls while the model learns by heart.",
    check=_check,
    fixes="offers to move the held-out copy to rejected/",
    decodes=True,
)
