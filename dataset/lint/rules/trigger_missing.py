"""Captions without the trigger, or with something close to it."""

from __future__ import annotations

from collections.abc import Iterator

from ....core.errors import shorten
from ...items import REGULARISATION, DatasetItem
from ..caption_fix import caption_fix, caption_fixes, where
from ..context import LintContext
from ..finding import WARNING, Finding
from ..rule import Rule
from ..triggers import CASE, EXACT, NEAR, SPLIT, Sighting, find_trigger

_NAME = "trigger-missing"
_SAYS = {
    CASE: "with other capital letters",
    SPLIT: "with spaces, dashes or underscores put in or left out",
    NEAR: "misspelt, it seems",
}


def _check(context: LintContext) -> Iterator[Finding]:
    trigger = context.settings.trigger.strip()
    if not trigger:
        return
    missing: list[DatasetItem] = []
    for item in context.dataset.items:
        caption = item.caption or ""
        if item.role == REGULARISATION or not caption:
            continue
        seen = find_trigger(caption, trigger)
        if seen is None:
            missing.append(item)
        elif seen.kind != EXACT:
            yield _misspelt(item, caption, seen, trigger)
    yield from _missing(context, missing, trigger)


def _misspelt(item: DatasetItem, caption: str, seen: Sighting, trigger: str) -> Finding:
    there = caption[seen.start : seen.end]
    return Finding(
        _NAME,
        WARNING,
        f"The caption of {item.name} has {there!r} and not {trigger!r}: {_SAYS[seen.kind]}."
        f"{where(item)}",
        items=(item.name,),
        fix=caption_fix(
            item, caption[: seen.start] + trigger + caption[seen.end :],
            f"write {trigger!r} for {there!r}", safe=seen.kind == CASE,
        ),
        data={"kind": seen.kind, "there": there},
    )


def _missing(
    context: LintContext, missing: list[DatasetItem], trigger: str
) -> Iterator[Finding]:
    """One finding for each folder, since its fix belongs to one."""
    folders: dict[str, list[DatasetItem]] = {}
    for item in missing:
        folders.setdefault(item.origin.name if item.origin else "", []).append(item)
    total = sum(bool(item.caption) for item in context.dataset.items)
    for items in folders.values():
        names = [item.name for item in items]
        new = [(item, f"{trigger}, {item.caption}") for item in items]
        yield Finding(
            _NAME,
            WARNING,
            f"{len(names)} of {total} captions are without the trigger {trigger!r}: "
            f"{shorten(names)}. What these pictures show is learned without it."
            f"{where(items[0])}",
            items=tuple(names),
            # Not unseen: a person may leave the trigger out of some captions on purpose.
            fix=next(iter(caption_fixes(new, f"put {trigger!r} in front", safe=False)), None),
        )


RULE = Rule(
    name=_NAME,
    doc="A caption without the trigger, or with a trigger that is misspelt, split or has other "
    "capital letters. Needs the trigger to be filled in; regularisation pictures have none.",
    check=_check,
    fixes="offers to put the trigger in front, or to write it for what was misspelt; other "
    "capital letters are mended unseen",
)
