"""Pictures of several frames or pages."""

from __future__ import annotations

from collections.abc import Iterator

from ...decode import NOTE_FRAMES
from ..context import LintContext
from ..finding import WARNING, Finding
from ..notes import noted
from ..rule import Rule

NAME = "animated"


def _check(context: LintContext) -> Iterator[Finding]:
    return noted(
        context, NAME, WARNING, {NOTE_FRAMES},
        "has several frames or pages, of which only the first is trained on.",
        what="keep only the first frame of",
    )


RULE = Rule(
    name=NAME,
    doc="An animation or a TIFF of several pages: only the first is used.",
    check=_check,
    levels=(WARNING,),
    fixes="offers to write an upright 8-bit sRGB PNG and to set the original aside",
    decodes=True,
)
