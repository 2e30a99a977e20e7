"""What an axis is; each file in ``axes/`` declares one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..core.registry import declared_objects


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
