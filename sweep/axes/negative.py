"""What is kept out of the picture: negative prompts beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..axis import Axis, Target
from ..text_values import parse_prompts, shown_prompt


def parse(text: str, _known: Sequence[str]) -> list[str]:
    """One negative prompt a line, or between lines of dashes."""
    return parse_prompts(text, "The negative axis")


AXIS = Axis(
    name="negative",
    title="Negative",
    doc='Negative prompts to compare, one on each line; "" is none at all. Longer ones of several '
    "lines are parted by a line with --- alone. At CFG 1 the negative prompt does nothing.",
    default='""\nblurry, low quality',
    parse=parse,
    targets=(
        Target(
            apply=lambda settings, value: replace(settings, negative=value),
            label=lambda value: f"without: {shown_prompt(value)}",
        ),
    ),
    multiline=True,
)
