"""How closely the prompt is followed (classifier-free guidance, arXiv 2207.12598)."""

from __future__ import annotations

from ..axis import Axis, parse_numbers


def parse(text: str) -> list[float]:
    """Numbers from 0 to 100, as the stock sampler allows."""
    return parse_numbers(text, low=0.0, high=100.0, what="The CFG axis")


AXIS = Axis(
    name="cfg",
    title="CFG",
    doc="CFG scales to compare: a list such as 2, 4, 7, or a range such as 1..10/4 for four "
    "values from 1 to 10. Higher follows the prompt more closely and burns sooner.",
    field="cfg",
    default="2, 4, 7",
    parse=parse,
    label=lambda value: f"CFG {value:g}",
)
