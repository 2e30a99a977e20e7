"""Pictures of 16 bits."""

from __future__ import annotations

from collections.abc import Iterator

from ...decode import NOTE_DEPTH
from ..context import LintContext
from ..finding import INFO, Finding
from ..notes import noted
from ..rule import Rule

NAME = "deep-colour"


def _check(context: LintContext) -> Iterator[Finding]:
    return noted(
        context, NAME, INFO, {NOTE_DEPTH},
        "has 16 bits, scaled to 8 here; programs that convert it by Pillow's own means clip it "
        "to white.",
        what="write 8 bits of",
    )


RULE = Rule(
    name=NAME,
    doc="A grey picture of 16 bits, as scanners write them. Here it is scaled to 8 bits; "
    "elsewhere it may come out white.",
    check=_check,
    levels=(INFO,),
    fixes="offers to write an upright 8-bit sRGB PNG and to set the original aside",
    decodes=True,
)
