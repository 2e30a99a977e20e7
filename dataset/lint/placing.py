"""Where each picture comes to lie among the training sizes."""

from __future__ import annotations

from collections.abc import Iterator

from ..buckets import Placement, place
from ..items import DatasetItem
from .context import LintContext
from .looks import PictureLook


def placements(context: LintContext) -> Iterator[tuple[DatasetItem, PictureLook, Placement]]:
    """Every picture with its size; those too small to be trained on are left out."""
    known: dict[tuple[int, int], Placement] = {}
    least = context.buckets.smallest_side_px
    for item, look in context.looks.over(context.dataset, context.progress):
        size = look.width_px, look.height_px
        if min(size) < least:
            continue
        if size not in known:
            known[size] = place(*size, context.buckets, name=item.name)
        yield item, look, known[size]
