"""Token layouts of all captions: each text is cut once, however many rules look at it."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

from ..items import DatasetItem
from ..token_layout import TokenCounter, TokenLayout
from .context import LintContext

# By the counter itself, and only as long as it lives: it holds a text encoder.
_LAYOUTS: WeakKeyDictionary[TokenCounter, dict[str, TokenLayout]] = WeakKeyDictionary()
_REMEMBERED = 65536


def layouts(context: LintContext) -> Iterator[tuple[DatasetItem, TokenLayout]]:
    """Every picture with a caption, and how that is cut.

    The context must have a token counter; rules with ``needs=TOKENS`` are only run with one.
    """
    assert context.tokens is not None
    known = _LAYOUTS.setdefault(context.tokens, {})
    for item in context.dataset.items:
        if item.caption:
            context.progress.check_cancelled()
            if item.caption not in known:
                if len(known) >= _REMEMBERED:
                    known.clear()
                known[item.caption] = context.tokens.layout(item.caption)
            yield item, known[item.caption]
