"""By which sampler a picture is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..axis import Axis, Target
from ..name_values import parse_names


def parse(text: str, known: Sequence[str]) -> list[str]:
    """Names of samplers, patterns of them, or ``all``."""
    return parse_names(text, known, "The sampler axis")


AXIS = Axis(
    name="sampler",
    title="Sampler",
    doc="Samplers to compare, by the names of the stock KSampler, parted by commas. dpmpp* is all "
    "whose name begins so, all is every one.",
    default="euler, dpmpp_2m, uni_pc",
    parse=parse,
    targets=(
        Target(
            apply=lambda settings, value: replace(settings, sampler=value),
            label=lambda value: str(value),
        ),
    ),
    source="samplers",
)
