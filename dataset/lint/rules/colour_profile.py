"""Pictures whose colours are not sRGB."""

from __future__ import annotations

from collections.abc import Iterator

from ...icc import NOTE_PROFILE, NOTE_PROFILE_MISFIT
from ..context import LintContext
from ..finding import INFO, WARNING, Finding
from ..notes import noted
from ..rule import Rule

NAME = "colour-profile"


def _check(context: LintContext) -> Iterator[Finding]:
    yield from noted(
        context, NAME, INFO, {NOTE_PROFILE},
        "has a colour profile that is not sRGB. Here its colours are converted; no common trainer "
        "does that, and so learns them paler or more vivid than you see them.",
        what="convert to sRGB:",
    )
    yield from noted(
        context, NAME, WARNING, {NOTE_PROFILE_MISFIT},
        "has a colour profile that is for another kind of picture. It was left out: look whether "
        "the colours are right.",
    )


RULE = Rule(
    name=NAME,
    doc="A picture whose embedded colour profile is not sRGB, such as Adobe RGB or Display P3, or "
    "does not fit its pixels.",
    check=_check,
    levels=(WARNING, INFO),
    fixes="offers to write an sRGB PNG and to set the original aside",
    decodes=True,
)
