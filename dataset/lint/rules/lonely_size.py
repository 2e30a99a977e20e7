"""Training sizes with fewer pictures than a batch."""

from __future__ import annotations

from collections.abc import Iterator

from ....core.errors import shorten
from ...items import TRAIN
from ..context import LintContext
from ..finding import WARNING, Finding
from ..placing import placements
from ..rule import Rule

NAME = "lonely-size"


def _check(context: LintContext) -> Iterator[Finding]:
    batch = context.settings.batch_size
    if batch < 2:
        return
    sizes: dict[tuple[int, int], list[str]] = {}
    for item, _, place in placements(context):
        if item.role == TRAIN:
            sizes.setdefault((place.bucket_w, place.bucket_h), []).append(item.name)
    for (width, height), names in sorted(sizes.items()):
        if len(names) < batch:
            are = "picture is" if len(names) == 1 else "pictures are"
            yield Finding(
                NAME, WARNING,
                f"Only {len(names)} {are} trained at {width} × {height} ({shorten(names)}): "
                f"batches of {batch} cannot be filled there.",
                tuple(names), data={"size": [width, height], "pictures": len(names)},
            )


RULE = Rule(
    name=NAME,
    doc="A training size that has fewer pictures than a batch. Its batches are smaller, or hold "
    "the same picture more than once.",
    check=_check,
    decodes=True,
)
