"""Pictures smaller than what is trained at."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

from ..context import LintContext
from ..finding import ERROR, WARNING, Finding
from ..rule import Rule

NAME = "small-picture"
_NEAR_ENOUGH = 1.15
"""Sides that lack less than this factor lose nothing that can be seen."""


def _check(context: LintContext) -> Iterator[Finding]:
    buckets = context.buckets
    least = buckets.smallest_side_px
    for item, look in context.looks.over(context.dataset, context.progress):
        width, height = look.width_px, look.height_px
        factor = sqrt(buckets.resolution_px**2 / (width * height))
        size = f"{item.name} is {width} × {height} pixels"
        data = {"width_px": width, "height_px": height, "factor": round(factor, 2)}
        if min(width, height) < least:
            yield Finding(
                NAME, ERROR,
                f"{size}, and no side may be shorter than {least} at a resolution of "
                f"{buckets.resolution_px}: training refuses it.",
                (item.name,), data=data,
            )
        elif factor > _NEAR_ENOUGH:
            done = "It is enlarged" if buckets.upscale else "It would have to be enlarged"
            rest = (
                ", and its blur is learned" if buckets.upscale
                else "; it is trained at its own size instead"
            )
            yield Finding(
                NAME, WARNING,
                f"{size}. {done} {factor:.1f} times to fill {buckets.resolution_px} × "
                f"{buckets.resolution_px}{rest}.",
                (item.name,), data=data,
            )


RULE = Rule(
    name=NAME,
    doc="A picture with less area than the resolution asks for, and by which factor it would have "
    "to be enlarged; an error where training refuses it.",
    check=_check,
    levels=(ERROR, WARNING),
    decodes=True,
)
