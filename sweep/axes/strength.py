"""How strongly the LoRA is applied, to the model and the text encoders alike."""

from __future__ import annotations

from ..axis import Axis, parse_numbers


def parse(text: str) -> list[float]:
    """Numbers from -20 to 20, as the stock LoRA loader allows."""
    return parse_numbers(text, low=-20.0, high=20.0, what="The strength axis")


AXIS = Axis(
    name="strength",
    title="Strength",
    doc="LoRA strengths to compare: a list such as 0, 0.5, 1, or a range such as 0..1.6/9 for "
    "nine values from 0 to 1.6. Strength 0, the model without the LoRA, is always added.",
    field="strength",
    default="0, 0.4, 0.8, 1.2",
    parse=parse,
    label=lambda value: f"strength {value:g}",
    baseline=0.0,
)
