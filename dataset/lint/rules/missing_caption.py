"""Pictures without a caption."""

from __future__ import annotations

from collections.abc import Iterator

from ..context import LintContext
from ..finding import ERROR, WARNING, Finding
from ..rule import Rule


def _check(context: LintContext) -> Iterator[Finding]:
    for item in context.dataset.items:
        if item.caption is None:
            yield Finding(
                "missing-caption", ERROR, f"{item.name} has no caption.", items=(item.name,)
            )
        elif not item.caption.strip():
            yield Finding(
                "missing-caption",
                WARNING,
                f"The caption of {item.name} is empty: it is learned as what no words mean.",
                items=(item.name,),
            )


RULE = Rule(
    name="missing-caption",
    doc="A picture without a caption, which stops the training; or with an empty one, which "
    "teaches the model what it draws for no words at all.",
    check=_check,
    levels=(ERROR, WARNING),
)
