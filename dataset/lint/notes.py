"""Findings that the decoder has already noted."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from .as_png import png_fix
from .context import LintContext
from .finding import Finding


def noted(
    context: LintContext, rule: str, level: str, notes: Collection[str], text: str, *,
    what: str = "",
) -> Iterator[Finding]:
    """A finding for every picture with one of these notes.

    Args:
        context: the dataset.
        rule: the rule's name.
        level: of the findings.
        notes: of the decoder.
        text: what follows the picture's name.
        what: what the fix does, before the file's name; without it there is none.
    """
    for item, look in context.looks.over(context.dataset, context.progress):
        if not set(notes).isdisjoint(look.notes):
            fix = png_fix(context, item, what, safe=False) if what else None
            yield Finding(rule, level, f"{item.name} {text}", (item.name,), fix=fix)
