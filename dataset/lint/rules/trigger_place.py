"""Triggers that stand somewhere in a caption instead of at its start."""

from __future__ import annotations

from collections.abc import Iterator

from ....core.errors import shorten
from ...items import DatasetItem
from ...tags import split_tags
from ..caption_fix import caption_fixes
from ..context import LintContext
from ..finding import INFO, WARNING, Finding
from ..rule import Rule
from ..triggers import at_front, find_exact, own_tag


def _check(context: LintContext) -> Iterator[Finding]:
    trigger = context.settings.trigger.strip()
    front, late = 0, list[DatasetItem]()
    for item in context.dataset.items if trigger else ():
        seen = find_exact(item.caption or "", trigger)
        if seen is not None:
            if at_front(item.caption or "", seen):
                front += 1
            else:
                late.append(item)
    folders: dict[str, list[DatasetItem]] = {}
    for item in late:
        folders.setdefault(item.origin.name if item.origin else "", []).append(item)
    for items in folders.values():
        names = [item.name for item in items]
        other = f", but at the start of {front} others" if front else ""
        new = [(item, moved) for item in items if (moved := _moved(item, trigger))]
        yield Finding(
            "trigger-mid-caption",
            WARNING if front else INFO,
            f"The trigger {trigger!r} is inside of {len(names)} captions{other}: "
            f"{shorten(names)}. The first words weigh most, and are in the first chunk.",
            items=tuple(names),
            fix=next(iter(caption_fixes(new, f"move {trigger!r} to the front")), None),
        )


def _moved(item: DatasetItem, trigger: str) -> str | None:
    """The caption with the trigger in front; None where it is part of a sentence, and for several
    lines, which may be meant as alternatives.
    """
    caption = item.caption or ""
    seen = find_exact(caption, trigger)
    if seen is None or not own_tag(caption, seen) or "\n" in caption.strip():
        return None
    tags = [tag.text for tag in split_tags(caption) if tag.start != seen.start]
    return ", ".join([trigger, *tags])


RULE = Rule(
    name="trigger-mid-caption",
    doc="A trigger that is not at the start of the caption. That is worth a warning where other "
    "captions start with it. A trigger inside of a sentence is only named.",
    check=_check,
    levels=(WARNING, INFO),
    fixes="moves it to the front where it is a tag of its own",
)
