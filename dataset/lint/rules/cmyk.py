"""Pictures in printers' colours."""

from __future__ import annotations

from collections.abc import Iterator

from ...icc import NOTE_CMYK
from ..as_png import png_fix
from ..context import LintContext
from ..finding import INFO, WARNING, Finding
from ..rule import Rule

NAME = "cmyk"


def _check(context: LintContext) -> Iterator[Finding]:
    for item, look in context.looks.over(context.dataset, context.progress):
        if look.mode != "CMYK":
            continue
        guessed = NOTE_CMYK in look.notes
        how = (
            "without a profile, so that its colours are a guess"
            if guessed else "with a profile, by which its colours were converted"
        )
        yield Finding(
            NAME, WARNING if guessed else INFO, f"{item.name} is CMYK {how}.", (item.name,),
            fix=png_fix(context, item, "convert to sRGB:", safe=False),
        )


RULE = Rule(
    name=NAME,
    doc="A picture in CMYK, as printers have it. Without a colour profile nobody knows its "
    "colours; with one they are converted here.",
    check=_check,
    levels=(WARNING, INFO),
    fixes="offers to write an sRGB PNG and to set the original aside",
    decodes=True,
)
