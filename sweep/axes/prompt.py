"""What is drawn: prompts beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..axis import Axis, Target
from ..text_values import parse_prompts, shown_prompt


def parse(text: str, _known: Sequence[str]) -> list[str]:
    """One prompt a line, or between lines of dashes."""
    return parse_prompts(text, "The prompt axis")


AXIS = Axis(
    name="prompt",
    title="Prompt",
    doc="Prompts to compare, one on each line. Longer ones of several lines are parted by a line "
    'with --- alone. "" is the empty prompt. Weights such as (word:1.2) are read as by the stock '
    "prompt node.",
    default="a portrait of a woman\na house by the sea",
    parse=parse,
    targets=(
        Target(
            apply=lambda settings, value: replace(settings, prompt=value), label=shown_prompt
        ),
    ),
    multiline=True,
)
