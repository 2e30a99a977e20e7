"""Pictures that are there twice: byte for byte, or nearly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ...core.errors import shorten
from ..items import DatasetItem
from .as_png import folder_of
from .close_pairs import close_pairs, groups
from .context import LintContext
from .finding import Fix
from .looks import PictureLook

MOST_BITS, MOST_LEVELS = 6, 12.0
"""Nearly the same: so many of 64 bits apart, and so many of 255 levels in a small copy (root mean
square). The hash alone takes drawings of one outline in two colours for one."""

Seen = tuple[DatasetItem, PictureLook]


def exact_groups(items: Iterable[DatasetItem]) -> list[list[DatasetItem]]:
    """Pictures of the same bytes, two and more, in order."""
    by_hash: dict[str, list[DatasetItem]] = {}
    for item in items:
        by_hash.setdefault(item.source.sha256, []).append(item)
    return [group for group in by_hash.values() if len(group) > 1]


def near_groups(context: LintContext) -> list[list[DatasetItem]]:
    """Pictures that look alike though their bytes differ; of equal bytes only the first is in."""
    seen: list[Seen] = []
    known: set[str] = set()
    for item, look in context.looks.over(context.dataset, context.progress):
        if item.source.sha256 not in known:
            known.add(item.source.sha256)
            seen.append((item, look))
    pairs = close_pairs([look.hash for _, look in seen], MOST_BITS) if seen else iter(())
    return [
        [seen[index][0] for index in group] for group in groups(len(seen), _alike(seen, pairs))
    ]


def _alike(seen: Sequence[Seen], pairs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for one, other in pairs:
        first, second = seen[one][1].cells, seen[other][1].cells
        apart = first.astype(np.float32) - second.astype(np.float32)
        if float(np.sqrt((apart**2).mean())) <= MOST_LEVELS:
            yield one, other


def set_aside(context: LintContext, items: Sequence[DatasetItem], why: str) -> Fix | None:
    """Moves pictures to ``rejected/`` with all that is theirs; None where one has no folder.

    Never safe: a picture may be there twice so that it counts twice.
    """
    folders = [folder_of(context, item) for item in items]
    first = folders[0]
    if first is None or any(folder is not first for folder in folders):
        return None
    files = [
        file for item in items for file in (item.file, *first.companions(item.file))
    ]
    moved = shorten([item.file for item in items])
    changes = first.rejected(dict.fromkeys(files))
    return Fix(first.origin, changes, f"move {moved} to rejected/{why}", safe=False)
