"""How the noise levels of the steps are spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..axis import Axis, Target
from ..name_values import parse_names


def parse(text: str, known: Sequence[str]) -> list[str]:
    """Names of schedulers, patterns of them, or ``all``."""
    return parse_names(text, known, "The scheduler axis")


AXIS = Axis(
    name="scheduler",
    title="Scheduler",
    doc="Schedulers to compare, by the names of the stock KSampler, parted by commas. *uniform is "
    "all whose name ends so, all is every one.",
    default="normal, karras, simple",
    parse=parse,
    targets=(
        Target(
            apply=lambda settings, value: replace(settings, scheduler=value),
            label=lambda value: str(value),
        ),
    ),
    source="schedulers",
)
