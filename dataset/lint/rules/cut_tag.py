"""Tags with a chunk's border inside."""

from __future__ import annotations

from collections.abc import Iterator

from ...tags import Tag, split_tags
from ...token_layout import TokenLayout
from ..context import LintContext
from ..finding import WARNING, Finding
from ..rule import TOKENS, Rule
from ..token_cache import layouts

_SHOWN = 60


def _check(context: LintContext) -> Iterator[Finding]:
    for item, layout in layouts(context):
        cuts = [
            _shown(tag, border)
            for border in _borders(layout)
            for tag in split_tags(item.caption or "")
            if tag.start < border < tag.end
        ]
        if cuts:
            yield Finding(
                "cut-tag",
                WARNING,
                f"In the caption of {item.name} a chunk of {layout.capacity} tokens ends inside of "
                f"{' and '.join(cuts)}: the two halves are read apart. Move it, shorten the "
                "caption, or set caption_chunks to whole tags.",
                items=(item.name,),
                data={"cuts": cuts},
            )


def _borders(layout: TokenLayout) -> list[int]:
    """Places in the caption where a chunk ends and another begins."""
    return [after[0].start for after in layout.chunks[1:] if after]


def _shown(tag: Tag, border: int) -> str:
    left, right = tag.text[: border - tag.start], tag.text[border - tag.start :]
    return f"'{left[-_SHOWN:].strip()} | {right[:_SHOWN].strip()}'"


RULE = Rule(
    name="cut-tag",
    doc="A tag of which one half is the end of a chunk of 75 tokens and the other half the start "
    "of the next, for SDXL and SD 1.5. The text encoder reads both as something else.",
    check=_check,
    needs=TOKENS,
)
