"""Regularisation pictures that have the trigger."""

from __future__ import annotations

from collections.abc import Iterator

from ...items import REGULARISATION
from ..context import LintContext
from ..finding import WARNING, Finding
from ..rule import Rule
from ..triggers import CASE, EXACT, find_trigger


def _check(context: LintContext) -> Iterator[Finding]:
    trigger = context.settings.trigger.strip()
    for item in context.dataset.items if trigger else ():
        seen = find_trigger(item.caption or "", trigger) if item.role == REGULARISATION else None
        if seen is not None and seen.kind in (EXACT, CASE):
            yield Finding(
                "trigger-in-regularisation",
                WARNING,
                f"{item.name} is a regularisation picture, and its caption has the trigger "
                f"{trigger!r}: it teaches the trigger to mean what the model drew before.",
                items=(item.name,),
            )


RULE = Rule(
    name="trigger-in-regularisation",
    doc="A regularisation picture whose caption has the trigger. These pictures shall keep what "
    "the model knew, and so must not be called by the new word.",
    check=_check,
)
