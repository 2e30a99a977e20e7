"""Something that most pictures have at the same place and captions do not name."""

from __future__ import annotations

from collections.abc import Iterator

from ...items import DatasetItem
from ..colour_words import (
    colour_word,
    share_naming,
    shared_words,
    words_for,
    words_of,
)
from ..context import LintContext
from ..finding import INFO, Finding
from ..recurring import Patch, common_border, common_patches
from ..rule import Rule

NAME = "recurring-object"
_NAMED, _MOST_TOLD, _RARE = 0.6, 3, 0.2


def _check(context: LintContext) -> Iterator[Finding]:
    seen = list(context.looks.over(context.dataset, context.progress))
    looks = [look for _, look in seen]
    border = common_border(looks)
    items = [item for item, _ in seen]
    told = 0
    for patch in common_patches(looks, border.colour if border else None):
        if told < _MOST_TOLD and not _is_named(patch, items):
            told += 1
            yield _finding(context, patch, items)


def _is_named(patch: Patch, items: list[DatasetItem]) -> bool:
    """Whether captions name its colour, or a word that those without it lack."""
    having = set(patch.pictures)
    captions = [items[number].caption for number in patch.pictures]
    if share_naming(captions, words_for(patch.colour)) >= _NAMED:
        return True
    others = [item.caption for number, item in enumerate(items) if number not in having]
    return bool(others) and any(
        share_naming(others, {word}) <= _RARE for word in shared_words(captions)
    )


def _finding(context: LintContext, patch: Patch, items: list[DatasetItem]) -> Finding:
    captions = [items[number].caption for number in patch.pictures]
    trigger = words_of(context.settings.trigger)
    shared = shared_words(captions, without=trigger)
    words = (
        f"Their captions have in common: {', '.join(shared)}. Unless that names it, it"
        if shared else "Their captions have no word in common that could name it: it"
    )
    size = f"{patch.right - patch.left:.0%} × {patch.bottom - patch.top:.0%}"
    return Finding(
        NAME, INFO,
        f"{len(patch.pictures)} of {len(items)} pictures have the same thing {patch.place}, "
        f"mostly {colour_word(patch.colour)}, {size} of the picture. {words} is learned as part "
        "of what you train: name it in the captions, or cut it off.",
        tuple(items[number].name for number in patch.pictures),
        data={
            "box": [round(v, 3) for v in (patch.left, patch.top, patch.right, patch.bottom)],
            "colour": "#{:02x}{:02x}{:02x}".format(*patch.colour), "shared_words": shared,
        },
    )


RULE = Rule(
    name=NAME,
    doc="The same thing at the same place in most pictures, such as a logo, a watermark or an "
    "object on the table, that captions do not name. Found by comparing colours in cells of a "
    "twenty-fourth of each side: what wanders, turns or is small escapes it, and so does a thin "
    "transparent watermark.",
    check=_check,
    levels=(INFO,),
    decodes=True,
)
