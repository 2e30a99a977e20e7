"""What people write into a numeric axis, and the exact numbers that it means.

One grammar for all axes: values parted by commas, semicolons or lines, each a number or a range.

========================= ======================================================================
``0, .4, -1.2``           numbers
``0..1.6/9``              nine values from 0 to 1.6, both ends among them, at equal distances
``0-1.6[9]``              the same, as the X/Y/Z plot of A1111's web UI writes it
``1-10 (+2)``, ``5-0(-1)``  in steps, as there: 1, 3, 5, 7, 9 and 5, 4, 3, 2, 1, 0
========================= ======================================================================

Numbers are computed as fractions and rounded once: ``0..1/11`` has 0.3, not 0.30000000000000004.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

from ..core.errors import ConfigError

MOST_VALUES = 64
DIGITS = 6
"""Decimals of values that a range computes: such as a person can type into a loader."""
LONGEST_SHOWN = 40
RANGES = (
    "Ranges: 0..1.6/9 or 0-1.6[9] is nine values from 0 to 1.6, 1-10(+2) goes in steps of 2. "
    "Lists and ranges may be mixed, parted by commas."
)
"""For the tooltips of all numeric axes."""

_NUMBER = r"[+-]?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})"
_COUNTED = re.compile(rf"({_NUMBER})\s*\.\.\s*({_NUMBER})\s*/\s*([0-9]{{1,9}})")
_BRACKETED = re.compile(rf"({_NUMBER})\s*-\s*({_NUMBER})\s*\[\s*([0-9]{{1,9}})\s*\]")
_STEPPED = re.compile(rf"({_NUMBER})\s*-\s*({_NUMBER})\s*\(\s*({_NUMBER})\s*\)")


def parse_numbers(text: str, *, low: float, high: float, what: str) -> list[float]:
    """The numbers of a list with ranges in it, in its order, each once.

    Args:
        text: what a person wrote.
        low, high: the smallest and the largest value allowed.
        what: the axis, as errors name it.

    Raises:
        ConfigError: a part cannot be read or is out of range, or the values are too many or none.
    """
    values = _exact(text, what, Fraction(low), Fraction(high), DIGITS)
    return list(dict.fromkeys(float(value) for value in values))


def parse_whole_numbers(text: str, *, low: int, high: int, what: str) -> list[int]:
    """Like :func:`parse_numbers` for seeds and steps: ranges give the nearest whole numbers."""
    values = _exact(text, what, Fraction(low), Fraction(high), 0)
    for value in values:
        if value.denominator != 1:
            raise ConfigError(
                f"{what} has the value {float(value):g}",
                expected="whole numbers",
                remedy="Write it without decimals",
            )
    return [int(value) for value in values]


def number_text(value: float) -> str:
    """A value as a label shows it: typed, it is the same again."""
    text = f"{Decimal(repr(value)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _exact(text: str, what: str, low: Fraction, high: Fraction, digits: int) -> list[Fraction]:
    found: dict[Fraction, None] = {}
    for part in filter(None, (piece.strip() for piece in re.split(r"[,;\n]", text))):
        values = list(_parse_part(part, what, digits))
        for value in values:
            if not low <= value <= high:
                raise ConfigError(
                    f"{what} has the value {float(value):g} in {_shown(part)}",
                    expected=f"numbers from {float(low):g} to {float(high):g}",
                    remedy="Correct this value",
                )
        found |= dict.fromkeys(values)
    if not 1 <= len(found) <= MOST_VALUES:
        raise ConfigError(
            f"{what} has {len(found)} values",
            expected=f"1 to {MOST_VALUES}",
            remedy="Write a list such as 0, 0.4, 0.8 or a range such as 0..1.6/5",
        )
    return list(found)


def _parse_part(part: str, what: str, digits: int) -> Iterable[Fraction]:
    """The values of one number or range; those that a range computes are rounded."""
    for pattern in (_COUNTED, _BRACKETED):
        if match := pattern.fullmatch(part):
            first, last = Fraction(match[1]), Fraction(match[2])
            return _rounded(_spread(first, last, int(match[3]), part, what), (first, last), digits)
    if match := _STEPPED.fullmatch(part):
        first, last, step = (Fraction(match[number]) for number in (1, 2, 3))
        return _stepped(first, last, step, part, what)
    if re.fullmatch(_NUMBER, part):
        return [Fraction(part)]
    raise ConfigError(
        f"{what} contains {_shown(part)}",
        expected="numbers, ranges such as 0..1.6/9 or 0-1.6[9], or steps such as 1-10(+2)",
        remedy="Correct it; decimals are written with a point, values parted by commas",
    )


def _rounded(
    values: Iterable[Fraction], ends: tuple[Fraction, Fraction], digits: int
) -> Iterable[Fraction]:
    """What was typed stays as it is; only values between the ends are rounded."""
    for value in values:
        yield value if value in ends else Fraction(round(value, digits))


def _spread(
    first: Fraction, last: Fraction, count: int, part: str, what: str
) -> Iterable[Fraction]:
    if not 1 <= count <= MOST_VALUES:
        raise ConfigError(
            f"{what} asks for {count} values in {_shown(part)}",
            expected=f"1 to {MOST_VALUES}",
            remedy="Ask for fewer" if count else "Ask for at least one",
        )
    if count == 1:
        return [first]
    return (first + (last - first) * index / (count - 1) for index in range(count))


def _stepped(
    first: Fraction, last: Fraction, step: Fraction, part: str, what: str
) -> Iterable[Fraction]:
    way = last - first
    if step == 0 or way * step < 0:
        raise ConfigError(
            f"{what} never arrives in {_shown(part)}",
            expected="a step above 0 on the way up, and below 0 on the way down",
            remedy="Correct the step, as in 1-10(+2) or 10-1(-2)",
        )
    count = way // step + 1
    if count > MOST_VALUES:
        raise ConfigError(
            f"{what} asks for {_count_text(count)} values in {_shown(part)}",
            expected=f"at most {MOST_VALUES}",
            remedy="Take a larger step",
        )
    return (first + index * step for index in range(count))


def _count_text(count: int) -> str:
    return str(count) if count < 10**6 else "millions of"


def _shown(part: str) -> str:
    """A part as it was written, not all of it where it is long."""
    return repr(part if len(part) <= LONGEST_SHOWN else f"{part[:LONGEST_SHOWN]}…")
