"""Pictures of a kind that is not read."""

from __future__ import annotations

from collections.abc import Iterator

from ..context import LintContext
from ..finding import WARNING, Finding
from ..rule import Rule

NAME = "unread-kind"


def _check(context: LintContext) -> Iterator[Finding]:
    for folder in context.folders:
        for file in folder.unread:
            yield Finding(
                NAME, WARNING,
                f"{file} is of a kind that is not read, and so is not trained on.",
                files=(file,),
            )


RULE = Rule(
    name=NAME,
    doc="A picture that is left out because its kind is not read, such as HEIC from a phone, a "
    "camera's raw file or a PSD. Export it as PNG or JPEG.",
    check=_check,
)
