"""Pictures of which much is cut away."""

from __future__ import annotations

from collections.abc import Iterator

from ..context import LintContext
from ..finding import WARNING, Finding
from ..placing import placements
from ..rule import Rule

NAME = "cut-away"
_MUCH = 0.1


def _check(context: LintContext) -> Iterator[Finding]:
    longest = context.buckets.max_aspect
    for item, look, place in placements(context):
        aspect = max(look.width_px, look.height_px) / min(look.width_px, look.height_px)
        lost = place.area_lost_fraction
        if aspect <= longest and lost <= _MUCH:
            continue
        why = (
            f"its longer side is {aspect:.1f} times the shorter, and {longest:g} is the most"
            if aspect > longest else "no size of the training is nearer to its shape"
        )
        yield Finding(
            NAME, WARNING,
            f"{lost:.0%} of {item.name} is cut off: {why}. It is trained at {place.bucket_w} × "
            f"{place.bucket_h}.",
            (item.name,), data={"lost": round(lost, 4), "aspect": round(aspect, 2)},
        )


RULE = Rule(
    name=NAME,
    doc="A picture that is longer than any size of the training, or of which more than a tenth "
    "is cut off to fit one.",
    check=_check,
    decodes=True,
)
