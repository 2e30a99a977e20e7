"""What an axis is; each file in ``axes/`` declares one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..core.errors import ConfigError
from ..core.registry import declared_objects

MOST_VALUES = 64
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_COUNTED = re.compile(rf"({_NUMBER})\s*\.\.\s*({_NUMBER})\s*/\s*(\d{{1,9}})")
_BRACKETED = re.compile(rf"({_NUMBER})\s*-\s*({_NUMBER})\s*\[\s*(\d{{1,9}})\s*\]")
_STEPPED = re.compile(rf"({_NUMBER})\s*-\s*({_NUMBER})\s*\(\s*({_NUMBER})\s*\)")


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One thing that may vary over a grid.

    Attributes:
        name: short name; its node is ``KilnAxis<Name>``.
        title: what people call it.
        doc: tooltip and help.
        field: the field of ``CellSettings`` that a value sets.
        default: text with which its node begins.
        parse: text -> values; raises ``ConfigError``.
        label: value -> label in the grid.
        baseline: value that must always be there to compare with, or None.
    """

    name: str
    title: str
    doc: str
    field: str
    default: str
    parse: Callable[[str], list[Any]]
    label: Callable[[Any], str]
    baseline: Any = None


@dataclass(frozen=True)
class AxisValues:
    """An axis with its chosen values; what a KILN_AXIS socket carries."""

    axis_name: str
    values: tuple[Any, ...]

    @property
    def axis(self) -> Axis:
        """The axis itself."""
        return axes()[self.axis_name]


def axes() -> dict[str, Axis]:
    """Every axis by name."""
    from . import axes as package

    return declared_objects(package, "AXIS")


def parse_numbers(text: str, *, low: float, high: float, what: str) -> list[float]:
    """Numbers from a list with ranges in it.

    Understood: ``0, .4, .8``; ``0..1.6/9`` and ``0-1.6[9]``, nine values from end to end;
    ``1-10(2)``, in steps of two.

    Raises:
        ConfigError: something else, too many values, or one out of range.
    """
    values: list[float] = []
    for part in filter(None, (piece.strip() for piece in re.split(r"[,;\n]", text))):
        values += _parse_part(part, what)
    unique = list(dict.fromkeys(round(value, 6) for value in values))
    if not 1 <= len(unique) <= MOST_VALUES:
        raise ConfigError(
            f"{what} has {len(unique)} values",
            expected=f"1 to {MOST_VALUES}",
            remedy="Write a list such as 0, 0.4, 0.8 or a range such as 0..1.6/5",
        )
    for value in unique:
        if not low <= value <= high:
            raise ConfigError(
                f"{what} has the value {value:g}",
                expected=f"numbers from {low:g} to {high:g}",
                remedy="Correct this value",
            )
    return unique


def _parse_part(part: str, what: str) -> list[float]:
    for pattern in (_COUNTED, _BRACKETED):
        if match := pattern.fullmatch(part):
            return _spread(float(match[1]), float(match[2]), int(match[3]), what)
    if match := _STEPPED.fullmatch(part):
        return _stepped(float(match[1]), float(match[2]), float(match[3]), what)
    if re.fullmatch(_NUMBER, part):
        return [float(part)]
    raise ConfigError(
        f"{what} contains {part!r}",
        expected="numbers, ranges such as 0..1.6/9, or steps such as 1-10(2)",
        remedy="Correct it; decimals are written with a point, values parted by commas",
    )


def _spread(first: float, last: float, count: int, what: str) -> list[float]:
    if not 1 <= count <= MOST_VALUES:
        raise ConfigError(
            f"{what} asks for {count} values",
            expected=f"1 to {MOST_VALUES}",
            remedy="Ask for fewer",
        )
    if count == 1:
        return [first]
    return [first + (last - first) * i / (count - 1) for i in range(count)]


def _stepped(first: float, last: float, step: float, what: str) -> list[float]:
    if step <= 0 or (last - first) / step >= MOST_VALUES:
        raise ConfigError(
            f"{what} goes from {first:g} to {last:g} in steps of {step:g}",
            expected=f"a positive step and at most {MOST_VALUES} values",
            remedy="Take a larger step",
        )
    count = int((last - first) / step + 1e-9) + 1
    return [first + i * step for i in range(max(count, 1))]
