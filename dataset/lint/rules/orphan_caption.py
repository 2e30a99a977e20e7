"""Captions without a picture."""

from __future__ import annotations

from collections.abc import Iterator

from ..caption_names import caption_names
from ..context import LintContext
from ..finding import WARNING, Finding
from ..rule import Rule

NAME = "orphan-caption"


def _check(context: LintContext) -> Iterator[Finding]:
    for folder in context.folders:
        for caption in caption_names(folder).orphans:
            yield Finding(
                NAME, WARNING,
                f"{caption} has no picture: it was deleted, renamed or never copied.",
                files=(caption,),
            )


RULE = Rule(
    name=NAME,
    doc="A caption file without a picture, and with none of nearly its name: the picture may be "
    "missing.",
    check=_check,
)
