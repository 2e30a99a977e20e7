"""Pictures that are turned by their EXIF data."""

from __future__ import annotations

from collections.abc import Iterator

from ...decode import NOTE_TURNED
from ..context import LintContext
from ..finding import INFO, Finding
from ..notes import noted
from ..rule import Rule

NAME = "turned"


def _check(context: LintContext) -> Iterator[Finding]:
    return noted(
        context, NAME, INFO, {NOTE_TURNED},
        "is stored lying or mirrored, and turned upright by its EXIF data; trainers that do not "
        "look there train it as it is stored.",
        what="turn",
    )


RULE = Rule(
    name=NAME,
    doc="A picture that is upright only through its EXIF data, as phones store them. Here it is "
    "turned; kohya, musubi and ComfyUI's own dataset nodes train it lying on its side.",
    check=_check,
    levels=(INFO,),
    fixes="offers to write an upright 8-bit sRGB PNG and to set the original aside",
    decodes=True,
)
