"""Tags as tag sites write them, with underscores."""

from __future__ import annotations

from collections.abc import Iterator

from ...items import DatasetItem
from ...tags import split_tags, with_spaces
from ..caption_fix import caption_fix, where
from ..context import LintContext
from ..finding import WARNING, Finding
from ..rule import Rule


def _check(context: LintContext) -> Iterator[Finding]:
    trigger = context.settings.trigger.strip().casefold()
    for item in context.dataset.items:
        changed = _changed(item, trigger)
        if changed:
            new, tags = changed
            yield Finding(
                "underscores",
                WARNING,
                f"The caption of {item.name} has underscores: {', '.join(tags[:3])}"
                f"{' and more' if len(tags) > 3 else ''}. They are not what people type, and cost "
                f"tokens.{where(item)}",
                items=(item.name,),
                fix=caption_fix(
                    item, new, "write underscores as spaces", safe=not any(map(_has_spaces, tags))
                ),
            )


def _changed(item: DatasetItem, trigger: str) -> tuple[str, list[str]] | None:
    """The caption without underscores, and the tags that had some."""
    caption, found = item.caption or "", []
    for tag in reversed(split_tags(caption)):
        if "_" in trigger and trigger in tag.text.casefold():
            continue
        spaced = with_spaces(tag.text)
        if spaced != tag.text:
            found.append(tag.text)
            caption = caption[: tag.start] + spaced + caption[tag.end :]
    return (caption, found[::-1]) if found else None


def _has_spaces(tag: str) -> bool:
    """Whether it is no tag of a tag site: in a sentence, a name may be written so on purpose."""
    return len(tag.split()) > 1


RULE = Rule(
    name="underscores",
    doc="Tags such as looking_at_viewer. Written with spaces they are what people type and what "
    "most models were trained with. Emoticons, the trigger, and words such as score_9 stay.",
    check=_check,
    fixes="writes them as spaces; not unseen inside of sentences",
)
