"""Edits of captions, each a function from text to text that may be repeated without harm.

Only find and replace may do something else the second time. A caption in which nothing is moved or
taken out keeps its own commas, spaces and line breaks.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..core.errors import DatasetError
from ..core.seeds import derive_seed
from .edit_settings import (
    A_TO_Z,
    AS_IS,
    COMMON_FIRST,
    LOWER,
    RARE_FIRST,
    REGEX,
    SHUFFLED,
    SPACES,
    UNESCAPED,
    WHOLE_TAG,
    CaptionEdits,
)
from .identity_tags import is_identity
from .items import Dataset, DatasetItem
from .patterns import compile_pattern
from .tags import (
    Tag,
    TagList,
    same_tag,
    split_tags,
    take_apart,
    with_escapes,
    with_spaces,
    with_underscores,
    without_escapes,
)

Rows = Sequence[tuple[str, str, str]]
"""Name of the picture, caption before, caption after."""


def edit_captions(dataset: Dataset, edits: CaptionEdits) -> Dataset:
    """The same pictures with edited captions. A picture without a caption stays without.

    Raises:
        ConfigError: a regular expression takes too long, or cannot be read.
        DatasetError: a caption comes out empty.
    """
    replaced = [replace_text(item.caption, edits) if item.caption else item.caption
                for item in dataset.items]
    counts = Counter(
        key for text in replaced if text for key in {same_tag(t.text) for t in split_tags(text)}
    )
    captions = [
        edit_caption(text or "", edits, counts, name=item.name) if item.caption else text
        for item, text in zip(dataset.items, replaced, strict=True)
    ]
    for item, caption in zip(dataset.items, captions, strict=True):
        if item.caption and not caption:
            raise DatasetError(
                f"The caption of {item.name} comes out empty: nothing is left of "
                f"{item.caption[:80]!r}",
                expected="a word at least",
                remedy="Take out fewer tags, or fill in a trigger",
            )
    edited = dataset.with_captions(captions)
    items = tuple(
        _with_edits(new, edits) if new.caption != old.caption else new
        for old, new in zip(dataset.items, edited.items, strict=True)
    )
    return dataclasses.replace(edited, items=items)


def edit_caption(
    caption: str, edits: CaptionEdits, counts: Mapping[str, int], *, name: str = ""
) -> str:
    """Everything but find and replace; doing it twice is doing it once.

    Args:
        caption: the text.
        edits: what to do.
        counts: in how many captions each tag is, by :func:`.tags.same_tag`.
        name: of the picture; two pictures are shuffled differently.
    """
    text = _letters(caption, edits)
    bare = _without_ends(text, edits)
    taken = take_apart(bare)
    front = (*taken.kept, *taken.tags[: edits.keep_tokens])
    rest = list(taken.tags[edits.keep_tokens :])
    chosen = _ordered(_reduced(front, rest, edits), edits, counts, name)
    if chosen != rest:
        tags = (*taken.tags[: edits.keep_tokens], *chosen)
        bare = TagList(taken.kept, tags, taken.marked).join()
    return _with_ends(bare, edits)


def replace_text(caption: str, edits: CaptionEdits) -> str:
    """Find and replace.

    Raises:
        ConfigError: a regular expression takes too long.
    """
    if not edits.find:
        return caption
    if edits.find_as == REGEX:
        pattern = compile_pattern(edits.find, edits.replace, match_case=edits.match_case)
        return pattern(caption).strip()
    if edits.find_as == WHOLE_TAG:
        return _replace_tags(caption, same_tag(edits.find), edits.replace.strip())
    flags = 0 if edits.match_case else re.IGNORECASE
    # Literal text on both sides: this search takes linear time.
    return re.sub(re.escape(edits.find), lambda _: edits.replace, caption, flags=flags).strip()


def changes_text(rows: Rows, most: int = 8) -> str:
    """Before and after, for people: ``-`` what was, ``+`` what comes."""
    changed = [row for row in rows if row[1] != row[2]]
    lines = [f"{len(changed)} of {len(rows)} captions change."]
    for name, before, after in changed[:most]:
        lines += [name, f"  - {before}", f"  + {after}"]
    rest = len(changed) - most
    return "\n".join([*lines, *([f"… and {rest} more"] if rest > 0 else [])])


def _letters(caption: str, edits: CaptionEdits) -> str:
    """Edits of letters, tag by tag, with everything between the tags as it was."""
    text = caption
    for tag in reversed(split_tags(caption)):
        text = text[: tag.start] + _tag_letters(tag, edits) + text[tag.end :]
    return text


def _tag_letters(tag: Tag, edits: CaptionEdits) -> str:
    text = tag.text
    if edits.letter_case == LOWER:
        text = text.lower()
    if edits.spaces != AS_IS:
        text = with_spaces(text) if edits.spaces == SPACES else with_underscores(text)
    if edits.escapes != AS_IS:
        text = without_escapes(text) if edits.escapes == UNESCAPED else with_escapes(text)
    # Trigger and appended words are put in as they were written, whatever becomes of the others.
    own = [edits.trigger.strip(), *(part.text for part in split_tags(edits.append))]
    return next((word for word in own if word and same_tag(word) == same_tag(text)), text)


def _reduced(front: Sequence[str], rest: Sequence[str], edits: CaptionEdits) -> list[str]:
    """Tags that stay, in their order."""
    unwanted = _blacklist(edits.remove_tags)
    seen = {same_tag(tag) for tag in front}
    kept = []
    for tag in rest:
        key = same_tag(tag)
        again = edits.remove_duplicates and key in seen
        if not (again or unwanted(key) or (edits.remove_identity and is_identity(tag))):
            kept.append(tag)
        seen.add(key)
    return kept


def _blacklist(text: str) -> Callable[[str], bool]:
    wanted = [same_tag(tag.text) for tag in split_tags(text)]
    exact = {key for key in wanted if "*" not in key}
    wild = [tuple(key.split("*")) for key in wanted if "*" in key]
    return lambda key: key in exact or any(_matches(key, parts) for parts in wild)


def _matches(key: str, parts: Sequence[str]) -> bool:
    """Whether the parts follow each other in a text; in one pass, whatever they are."""
    first, last = parts[0], parts[-1]
    if len(key) < len(first) + len(last) or not (key.startswith(first) and key.endswith(last)):
        return False
    place, end = len(first), len(key) - len(last)
    for part in parts[1:-1]:
        found = key.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True


def _ordered(
    tags: list[str], edits: CaptionEdits, counts: Mapping[str, int], name: str
) -> list[str]:
    keys: dict[str, Callable[[str], tuple[float, str]]] = {
        A_TO_Z: lambda tag: (0, same_tag(tag)),
        COMMON_FIRST: lambda tag: (-counts.get(same_tag(tag), 0), same_tag(tag)),
        RARE_FIRST: lambda tag: (counts.get(same_tag(tag), 0), same_tag(tag)),
        # A number of its own for every tag: shuffling a second time changes nothing.
        SHUFFLED: lambda tag: (derive_seed(edits.seed, name, same_tag(tag), "shuffle"), tag),
    }
    return tags if edits.order == AS_IS else sorted(tags, key=keys[edits.order])


def _without_ends(caption: str, edits: CaptionEdits) -> str:
    """The caption without the trigger and the appended tags, where they are tags of their own."""
    ends = {same_tag(edits.trigger)} if edits.trigger.strip() else set()
    ends |= {same_tag(tag.text) for tag in split_tags(edits.append)}
    found = [tag for tag in split_tags(caption) if same_tag(tag.text) in ends]
    return _cut_out(caption, found)


def _with_ends(caption: str, edits: CaptionEdits) -> str:
    trigger, append = edits.trigger.strip(), ", ".join(t.text for t in split_tags(edits.append))
    if trigger and _says(caption, trigger):
        # Part of a sentence: to put it in front as well would say it twice.
        trigger = ""
    return ", ".join(part for part in (trigger, caption.strip(" ,\n"), append) if part)


def _says(caption: str, trigger: str) -> bool:
    """Whether the words stand somewhere in the caption."""
    return re.search(rf"(?<!\w){re.escape(trigger)}(?!\w)", caption, re.IGNORECASE) is not None


def _cut_out(caption: str, tags: Iterable[Tag]) -> str:
    """A caption without some of its tags; with each goes the separator behind it."""
    text = caption
    for tag in sorted(tags, key=lambda found: -found.start):
        behind = re.match(r"\s*,[ \t]*", text[tag.end :])
        end = tag.end + (behind.end() if behind else 0)
        before = text[: tag.start]
        if behind is None:
            before = re.sub(r"\s*,\s*$", "", before)
        text = before + text[end:]
    return text


def _replace_tags(caption: str, wanted: str, replacement: str) -> str:
    found = [tag for tag in split_tags(caption) if same_tag(tag.text) == wanted]
    if not replacement:
        return _cut_out(caption, found).strip()
    for tag in reversed(found):
        caption = caption[: tag.start] + replacement + caption[tag.end :]
    return caption


def _with_edits(item: DatasetItem, edits: CaptionEdits) -> DatasetItem:
    """What was done is remembered beside where the caption came from."""
    done = {
        field.name: getattr(edits, field.name) for field in dataclasses.fields(edits)
        if getattr(edits, field.name) != field.default
    }
    how = dict(item.provenance.get("caption", {}))
    how["edits"] = [*how.get("edits", []), done]
    return dataclasses.replace(item, provenance={**item.provenance, "caption": how})
