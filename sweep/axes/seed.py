"""Which noise a picture begins with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ..axis import Axis, Target
from ..axis_values import parse_whole_numbers

WHAT = "The seed axis"
LARGEST_SEED = 2**63 - 1
_COUNTED = re.compile(r"(?i)(?<![0-9.])([1-9][0-9]{0,3})\s+from\s+([0-9]{1,20})(?![0-9.])")


def parse(text: str, _known: Sequence[str]) -> list[int]:
    """Whole numbers, ranges of them, and ``4 from 123`` for four in a row."""
    written = _COUNTED.sub(_in_a_row, text)
    return parse_whole_numbers(written, low=0, high=LARGEST_SEED, what=WHAT)


def _in_a_row(match: re.Match[str]) -> str:
    """The same seeds as a range in steps of one."""
    first = int(match[2])
    return f"{first}-{first + int(match[1]) - 1}(1)"


AXIS = Axis(
    name="seed",
    title="Seed",
    doc="Seeds of the noise to compare. What shows with one seed alone may be chance: look at "
    "three or more. 4 from 123 is 123, 124, 125 and 126, and 1-10(+3) goes in steps of 3.",
    default="3 from 0",
    parse=parse,
    targets=(
        Target(
            apply=lambda settings, value: replace(settings, seed=value),
            label=lambda value: f"seed {value}",
        ),
    ),
)
