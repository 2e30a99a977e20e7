"""How closely the prompt is followed (classifier-free guidance, arXiv 2207.12598)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..axis import Axis, Target
from ..axis_values import RANGES, number_text, parse_numbers


def parse(text: str, _known: Sequence[str]) -> list[float]:
    """Numbers from 0 to 100, as the stock sampler allows."""
    return parse_numbers(text, low=0.0, high=100.0, what="The CFG axis")


AXIS = Axis(
    name="cfg",
    title="CFG",
    doc="CFG scales to compare, such as 2, 4, 7. Higher follows the prompt more closely and burns "
    f"sooner. {RANGES}",
    default="2, 4, 7",
    parse=parse,
    targets=(
        Target(
            apply=lambda settings, value: replace(settings, cfg=value),
            label=lambda value: f"CFG {number_text(value)}",
        ),
    ),
)
