"""One tag in two spellings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from ...items import DatasetItem
from ...tags import is_tag_list, split_tags
from ..caption_fix import caption_fixes
from ..context import LintContext
from ..finding import INFO, WARNING, Finding, Fix
from ..rule import Rule


def _check(context: LintContext) -> Iterator[Finding]:
    counts: dict[str, Counter[str]] = {}
    for item in context.dataset.items:
        for tag in split_tags(item.caption or ""):
            counts.setdefault(tag.text.casefold(), Counter())[tag.text] += 1
    usual = {
        spelling: found.most_common(1)[0][0]
        for found in counts.values() if len(found) > 1
        for spelling in found if spelling != found.most_common(1)[0][0]
    }
    concerned = [item for item in context.dataset.items if _respelt(item, usual) != item.caption]
    if not concerned:
        return
    for name, items in _by_folder(concerned).items():
        new = [(item, _respelt(item, usual) or "") for item in items]
        # A sentence may begin with a capital letter; only tags are respelt unseen.
        safe = all(is_tag_list(item.caption or "") for item in items)
        fixes = caption_fixes(new, "use the usual spelling of tags", safe=safe)
        fix: Fix | None = next(iter(fixes), None)
        pairs = {
            tag.text: usual[tag.text]
            for item in items for tag in split_tags(item.caption or "") if tag.text in usual
        }
        shown = ", ".join(f"'{odd}' and '{common}'" for odd, common in list(pairs.items())[:3])
        yield Finding(
            "mixed-case",
            INFO if _reads_alike(context, pairs) else WARNING,
            f"{len(pairs)} tags are spelt in several ways{name}, such as {shown}. CLIP reads them "
            "alike; other text encoders do not.",
            items=tuple(item.name for item in items),
            fix=fix,
            data={"spellings": pairs},
        )


def _by_folder(items: list[DatasetItem]) -> dict[str, list[DatasetItem]]:
    """A fix belongs to one folder."""
    found: dict[str, list[DatasetItem]] = {}
    for item in items:
        found.setdefault(f" in {item.origin.name}" if item.origin else "", []).append(item)
    return found


def _respelt(item: DatasetItem, usual: Mapping[str, str]) -> str | None:
    caption = item.caption
    for tag in reversed(split_tags(caption or "")):
        if caption and tag.text in usual:
            caption = caption[: tag.start] + usual[tag.text] + caption[tag.end :]
    return caption


def _reads_alike(context: LintContext, pairs: Mapping[str, str]) -> bool:
    """Whether the connected tokenizer takes both spellings for the same tokens."""
    if context.tokens is None:
        return False
    return all(_names(context, odd) == _names(context, common) for odd, common in pairs.items())


def _names(context: LintContext, tag: str) -> list[str]:
    assert context.tokens is not None
    return [token.text for chunk in context.tokens.layout(tag).chunks for token in chunk]


RULE = Rule(
    name="mixed-case",
    doc="The same tag with other letters' case: Blue Hair and blue hair. CLIP does not see the "
    "difference; the text encoders of Z-Image and Flux learn two things.",
    check=_check,
    levels=(WARNING, INFO),
    fixes="takes the most common spelling; not unseen where captions are sentences",
)
