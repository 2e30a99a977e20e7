"""How strongly the LoRA is applied: to the model, to the text encoders or to both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..axis import Axis, Target
from ..axis_values import RANGES, number_text, parse_numbers
from ..cell_settings import CellSettings


def parse(text: str, _known: Sequence[str]) -> list[float]:
    """Numbers from -20 to 20, as the stock LoRA loader allows."""
    return parse_numbers(text, low=-20.0, high=20.0, what="The strength axis")


def on_model(settings: CellSettings, value: float) -> CellSettings:
    """The text encoders stay at the strength that they have."""
    return replace(settings, strength=value, clip_strength=settings.text_strength)


AXIS = Axis(
    name="strength",
    title="Strength",
    doc="LoRA strengths to compare, such as 0, 0.5, 1; below 0 and above 1 too. Strength 0, the "
    f"model without the LoRA, is always added. {RANGES}",
    default="0, 0.4, 0.8, 1.2",
    parse=parse,
    targets=(
        Target(
            name="both",
            doc="the model and its text encoders",
            apply=lambda settings, value: replace(settings, strength=value, clip_strength=None),
            label=lambda value: f"strength {number_text(value)}",
        ),
        Target(
            name="model",
            doc="the model alone, the text encoders keep the sweep's strength",
            apply=on_model,
            label=lambda value: f"model strength {number_text(value)}",
        ),
        Target(
            name="clip",
            doc="the text encoders alone, the model keeps the sweep's strength",
            apply=lambda settings, value: replace(settings, clip_strength=value),
            label=lambda value: f"CLIP strength {number_text(value)}",
        ),
    ),
    baseline=0.0,
)
