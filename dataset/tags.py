"""What a tag is: the parts of a caption between commas, and when two of them are the same.

A caption is literal text. Here it is only looked at as a list; nothing is rewritten unless a
function says so. ``\\(`` is a bracket as tag sites and prompts write it, ``|||`` is how kohya's
scripts mark the tags that stay in front, and a line break ends a tag as a comma does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

KEEP_SEPARATOR = "|||"
_SEPARATOR = re.compile(r"\|\|\||[,\n]")
_SPACES = re.compile(r"\s+")
_SPACES_KEPT = re.compile(r"(\s+)")
_ESCAPED = re.compile(r"\\([()])")
_BARE_BRACKET = re.compile(r"(?<!\\)([()])")
_EXCEPT_UNDERSCORES = re.compile(
    # How anime models were trained to be asked for quality, source and rating; kept as they are.
    r"(?:score_\d(?:_up)?|source_(?:pony|furry|cartoon|anime)|rating_\w+)", re.IGNORECASE
)
_LONGEST_EMOTICON = 7
_LONGEST_TAG_WORDS = 5


@dataclass(frozen=True)
class Tag:
    """A part of a caption between separators.

    Attributes:
        text: without spaces around it; never empty.
        start: first character of it in the caption.
        end: the character behind its last one.
    """

    text: str
    start: int
    end: int


def split_tags(caption: str) -> list[Tag]:
    """The tags of a caption, in order; empty ones are left out."""
    found, begin = [], 0
    for end, after in [*((m.start(), m.end()) for m in _SEPARATOR.finditer(caption)),
                       (len(caption), len(caption))]:
        text = caption[begin:end].strip()
        if text:
            start = begin + len(caption[begin:end]) - len(caption[begin:end].lstrip())
            found.append(Tag(text, start, start + len(text)))
        begin = after
    return found


@dataclass(frozen=True)
class TagList:
    """A caption taken apart, to be put together again.

    Attributes:
        kept: what stands before ``|||`` and is never moved; empty without the mark.
        tags: all others.
        marked: whether there was a ``|||``.
    """

    kept: tuple[str, ...]
    tags: tuple[str, ...]
    marked: bool = False

    def join(self) -> str:
        """The caption: commas and single spaces between."""
        if not self.marked:
            return ", ".join((*self.kept, *self.tags))
        return f"{', '.join(self.kept)} {KEEP_SEPARATOR} {', '.join(self.tags)}".strip()


def take_apart(caption: str) -> TagList:
    """Kept tags and others; a second ``|||`` is a comma."""
    front, mark, rest = caption.partition(KEEP_SEPARATOR)
    if not mark:
        return TagList((), tuple(tag.text for tag in split_tags(caption)))
    kept, tags = split_tags(front), split_tags(rest)
    return TagList(tuple(t.text for t in kept), tuple(t.text for t in tags), marked=True)


@lru_cache(maxsize=65536)
def same_tag(tag: str) -> str:
    """What equal tags have in common: no case, escapes, underscores or double spaces."""
    return _SPACES.sub(" ", with_spaces(without_escapes(tag))).strip().casefold()


def with_spaces(tag: str) -> str:
    """Underscores as spaces, except in emoticons and in words such as ``score_9``."""
    if "_" not in tag:
        return tag
    # Word by word: a sentence may have an emoticon inside.
    return "".join(_word_with_spaces(part) for part in _SPACES_KEPT.split(tag))


def _word_with_spaces(word: str) -> str:
    kept = is_emoticon(word) or _EXCEPT_UNDERSCORES.fullmatch(word)
    return word if kept else word.replace("_", " ")


def with_underscores(tag: str) -> str:
    """Spaces inside a tag as underscores, as tag sites write it."""
    return _SPACES.sub("_", tag.strip())


def without_escapes(tag: str) -> str:
    """``\\(`` as ``(``: what the text encoder reads when a prompt has the escaped form."""
    return _ESCAPED.sub(r"\1", tag)


def with_escapes(tag: str) -> str:
    """``(`` as ``\\(``, where it is not escaped yet."""
    return _BARE_BRACKET.sub(r"\\\1", tag)


def is_emoticon(tag: str) -> bool:
    """Whether an underscore is a mouth or a nose: ``>_<``, ``^_^``, ``o_o``, ``(o)_(o)``.

    Both sides are short, and neither has more than one letter or digit.
    """
    face = without_escapes(tag).strip()
    if face.count("_") != 1 or len(face) > _LONGEST_EMOTICON:
        return face.replace("_", "") == "" or (face.strip("|") == "_" and len(face) > 1)
    left, right = face.split("_")
    letters = [sum(char.isalnum() for char in side) for side in (left, right)]
    return bool(left and right) and max(letters) <= 1 and len(left) <= 3 and len(right) <= 3


def unique(tags: Iterable[str]) -> list[str]:
    """The first of tags that are the same, in order."""
    first: dict[str, str] = {}
    for tag in tags:
        first.setdefault(same_tag(tag), tag)
    return list(first.values())


def repeated(tags: Iterable[str]) -> list[str]:
    """Tags that are the same as an earlier one, in order."""
    seen: set[str] = set()
    again = []
    for tag in tags:
        key = same_tag(tag)
        if key in seen:
            again.append(tag)
        seen.add(key)
    return again


def looks_like_tags(caption: str) -> bool:
    """Whether a caption is a list of tags rather than sentences: short parts, and several."""
    tags = split_tags(caption)
    words = sum(len(tag.text.replace("_", " ").split()) for tag in tags)
    return len(tags) >= 3 and words / len(tags) <= 3


def is_tag_list(caption: str) -> bool:
    """Whether a caption is one line of tags, so that tags may be moved or taken out. Parts of a
    sentence may not, and lines may be meant as alternatives.
    """
    tags = split_tags(caption)
    short = all(len(words_of(tag.text)) <= _LONGEST_TAG_WORDS for tag in tags)
    return short and "\n" not in caption.strip()


def words_of(text: str) -> Sequence[str]:
    """Words in lower case, without punctuation at their ends; underscores part words."""
    found = (word.strip(".,;:!?\"'()[]{}|\\") for word in text.casefold().replace("_", " ").split())
    return [word for word in found if word]
