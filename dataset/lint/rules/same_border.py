"""A border colour that most pictures have and few captions name."""

from __future__ import annotations

from collections.abc import Iterator

from ..colour_words import colour_word, share_naming, words_for
from ..context import LintContext
from ..finding import INFO, Finding
from ..recurring import common_border
from ..rule import Rule

NAME = "same-border"
_NAMED = 0.5
_GROUND_WORDS = {"background", "border", "frame", "backdrop", "margin"}


def _check(context: LintContext) -> Iterator[Finding]:
    seen = list(context.looks.over(context.dataset, context.progress))
    border = common_border([look for _, look in seen])
    if border is None:
        return
    items = [seen[number][0] for number in border.pictures]
    words = words_for(border.colour) | _GROUND_WORDS
    naming = share_naming([item.caption for item in items], words)
    if naming >= _NAMED:
        return
    word, colour = colour_word(border.colour), "#{:02x}{:02x}{:02x}".format(*border.colour)
    yield Finding(
        NAME, INFO,
        f"{len(items)} of {len(seen)} pictures have a {word} border ({colour}), and {naming:.0%} "
        "of their captions say so: it is learned as part of what you train. Right for a style "
        f"that is drawn so; otherwise write '{word} background' into the captions.",
        tuple(item.name for item in items),
        data={"colour": colour, "pictures": len(items), "named": round(naming, 3)},
    )


RULE = Rule(
    name=NAME,
    doc="Most pictures have a border or ground of one colour, and few captions say so: the model "
    "takes it for part of what is trained. Seen in the outermost three hundredths alone.",
    check=_check,
    levels=(INFO,),
    decodes=True,
)
