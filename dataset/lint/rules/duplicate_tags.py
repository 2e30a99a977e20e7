"""Tags that stand twice in a caption."""

from __future__ import annotations

from collections.abc import Iterator

from ...tags import TagList, is_tag_list, repeated, same_tag, take_apart, unique
from ..caption_fix import caption_fix, where
from ..context import LintContext
from ..finding import WARNING, Finding
from ..rule import Rule


def _check(context: LintContext) -> Iterator[Finding]:
    for item in context.dataset.items:
        taken = take_apart(item.caption or "")
        again = repeated((*taken.kept, *taken.tags))
        if again:
            yield Finding(
                "duplicate-tags",
                WARNING,
                f"The caption of {item.name} says {', '.join(again[:3])} more than once."
                f"{where(item)}",
                items=(item.name,),
                fix=caption_fix(
                    item, without_repeats(taken).join(), "remove repeated tags",
                    safe=is_tag_list(item.caption or ""),
                ),
                data={"tags": again},
            )


def without_repeats(taken: TagList) -> TagList:
    """Only the first of tags that are the same."""
    kept = unique(taken.kept)
    before = {same_tag(tag) for tag in kept}
    rest = [tag for tag in unique(taken.tags) if same_tag(tag) not in before]
    return TagList(tuple(kept), tuple(rest), taken.marked)


RULE = Rule(
    name="duplicate-tags",
    doc="A tag that stands twice in one caption, also with other letters' case, underscores or "
    "escapes. It costs tokens and weighs more than you meant.",
    check=_check,
    fixes="keeps the first of each; not unseen in sentences and in captions of several lines",
)
