"""Tags that all captions have but a few."""

from __future__ import annotations

from collections.abc import Iterator

from ....core.errors import shorten
from ...items import TRAIN
from ...tags import looks_like_tags, same_tag, split_tags
from ..context import LintContext
from ..finding import INFO, Finding
from ..phrases import tag_counts
from ..rule import Rule

FEWEST, FEW_SHARE, FEW = 8, 0.05, 2


def _check(context: LintContext) -> Iterator[Finding]:
    items = [i for i in context.dataset.items if i.role == TRAIN and i.caption]
    captions = [item.caption or "" for item in items]
    few = max(FEW, int(FEW_SHARE * len(items)))
    if len(items) < FEWEST or sum(map(looks_like_tags, captions)) < len(items) / 2:
        return
    trigger = same_tag(context.settings.trigger)
    for tag, count in sorted(tag_counts(captions).items()):
        if not 0 < len(items) - count <= few or tag == trigger:
            continue
        without = [
            item.name for item in items
            if tag not in {same_tag(found.text) for found in split_tags(item.caption or "")}
        ]
        yield Finding(
            "tag-nearly-everywhere",
            INFO,
            f"'{tag}' is in {count} of {len(items)} captions, and not in {shorten(without)}: "
            "forgotten there, or a mistake elsewhere?",
            items=tuple(without),
            data={"tag": tag, "captions": count},
        )


RULE = Rule(
    name="tag-nearly-everywhere",
    doc="A tag that all captions have but one or two. Often it was forgotten in these, and what "
    "it names is then learned without a word.",
    check=_check,
    levels=(INFO,),
)
