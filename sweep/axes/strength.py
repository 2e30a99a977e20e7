"""How strongly the LoRA is applied, to the model and the text encoders alike."""

from __future__ import annotations

from ..axis import Axis
from ..axis_values import RANGES, number_text, parse_numbers


def parse(text: str) -> list[float]:
    """Numbers from -20 to 20, as the stock LoRA loader allows."""
    return parse_numbers(text, low=-20.0, high=20.0, what="The strength axis")


AXIS = Axis(
    name="strength",
    title="Strength",
    doc="LoRA strengths to compare, such as 0, 0.5, 1; below 0 and above 1 too. Strength 0, the "
    f"model without the LoRA, is always added. {RANGES}",
    field="strength",
    default="0, 0.4, 0.8, 1.2",
    parse=parse,
    label=lambda value: f"strength {number_text(value)}",
    baseline=0.0,
)
