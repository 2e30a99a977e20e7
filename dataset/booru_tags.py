"""Tag lists as picture boards write them: ``1girl long_hair blue_eyes``.

Words of one tag are joined by underscores there, and tags stand between spaces. Models are asked
with commas and spaces, and underscores cost tokens, so lists are rewritten unless the person
wants them as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

SPACES, UNDERSCORES, AS_WRITTEN = "commas and spaces", "commas and underscores", "as written"
TAG_STYLES = (SPACES, UNDERSCORES, AS_WRITTEN)
# Words that stand in most sentences and are no tags.
_SENTENCE = frozenset({"a", "an", "the", "of", "with", "and", "in", "on", "is", "are", "at", "for"})
_ENDS_A_SENTENCE = re.compile(r"\w\.[\"')]*(\s|$)")


def is_tag_list(text: str) -> bool:
    """Whether a caption is a list of tags with underscores and without commas.

    One tag per line, as downloaders write it, counts too. A sentence with a name such as
    ``ohwx_man`` does not.
    """
    words = text.split()
    return (
        len(words) > 1
        and "," not in text
        and any("_" in word.strip("_") and not is_face(word) for word in words)
        and _SENTENCE.isdisjoint(word.casefold() for word in words)
        and not _ENDS_A_SENTENCE.search(text)
    )


def join_tags(tags: Iterable[str], style: str) -> str:
    """A caption of single tags, each once.

    Args:
        tags: as the board writes them.
        style: one of :data:`TAG_STYLES`.
    """
    own = list(dict.fromkeys(tag for tag in tags if tag))
    if style == AS_WRITTEN and not any(" " in tag for tag in own):
        return " ".join(own)
    return ", ".join(map(_with_spaces, own) if style == SPACES else own)


def is_face(tag: str) -> bool:
    """Whether a tag is a face such as ``o_o`` or ``(o)_(o)``, whose underscore is a mouth."""
    left, mouth, right = tag.partition("_")
    sides = (left, right)
    return bool(mouth) and all(side and sum(map(str.isalnum, side)) <= 1 for side in sides)


def _with_spaces(tag: str) -> str:
    return tag if is_face(tag) else " ".join(tag.replace("_", " ").split()) or tag
