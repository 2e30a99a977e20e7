"""Captions that do not fit into one chunk of the text encoder."""

from __future__ import annotations

from collections.abc import Iterator

from ..context import LintContext
from ..finding import WARNING, Finding
from ..rule import TOKENS, Rule
from ..token_cache import layouts


def _check(context: LintContext) -> Iterator[Finding]:
    for item, layout in layouts(context):
        if layout.capacity is None or len(layout.chunks) < 2:
            continue
        yield Finding(
            "too-many-tokens",
            WARNING,
            f"The caption of {item.name} has {layout.count} tokens and {layout.capacity} fit into "
            f"a chunk: it is read in {len(layout.chunks)} parts that know nothing of each other.",
            items=(item.name,),
            data={"tokens": layout.count, "capacity": layout.capacity},
        )


RULE = Rule(
    name="too-many-tokens",
    doc="A caption of more than 75 tokens, for SDXL and SD 1.5. The text encoder reads it in "
    "parts, and a picture drawn by a short prompt never sees the later ones.",
    check=_check,
    needs=TOKENS,
)
