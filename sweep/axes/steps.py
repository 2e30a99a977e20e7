"""In how many steps a picture is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..axis import Axis, Target
from ..axis_values import RANGES, parse_whole_numbers


def parse(text: str, _known: Sequence[str]) -> list[int]:
    """Whole numbers from 1 to 1000."""
    return parse_whole_numbers(text, low=1, high=1000, what="The steps axis")


AXIS = Axis(
    name="steps",
    title="Steps",
    doc="Sampling steps to compare, such as 8, 20, 40. The fewest at which the picture no longer "
    f"changes much save time in every other sweep. {RANGES}",
    default="10, 20, 30",
    parse=parse,
    targets=(
        Target(
            apply=lambda settings, value: replace(settings, steps=value),
            label=lambda value: f"{value} steps" if value != 1 else "1 step",
        ),
    ),
)
