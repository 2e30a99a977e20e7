"""What an axis is; each file in ``axes/`` declares one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

from ..core.registry import declared_objects
from .cell_settings import CellSettings


@dataclass(frozen=True, kw_only=True)
class Target:
    """What an axis sets; an axis with several lets the person choose.

    Attributes:
        name: word to choose it by; empty where there is no choice.
        doc: what it means, for the tooltip.
        apply: settings, value -> settings with the value.
        label: value -> label in the grid.
        labels: all values of an axis -> their labels, where one depends on the others.
    """

    name: str = ""
    doc: str = ""
    apply: Callable[[CellSettings, Any], CellSettings]
    label: Callable[[Any], str]
    labels: Callable[[Sequence[Any]], Sequence[str]] | None = None


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One thing that may vary over a grid.

    Attributes:
        name: short name; its node is ``KilnAxis<Name>``.
        title: what people call it.
        doc: tooltip and help.
        default: text with which its node begins.
        parse: text and the names that the host knows -> values; raises ``ConfigError``.
        targets: what a value sets, the usual one first.
        source: of which names the host's list is: ``loras``, ``samplers``, ``schedulers`` or
            nothing.
        takes_run: whether a training run can be connected whose checkpoints are the names.
        multiline: whether its text is of several lines.
        baseline: value that must always be there to compare with, or None.
        spare_baseline: the baseline is added only where no other axis brings one.
        late: applied after the others, since it changes what they set.
    """

    name: str
    title: str
    doc: str
    default: str
    parse: Callable[[str, Sequence[str]], list[Any]]
    targets: tuple[Target, ...]
    source: str = ""
    takes_run: bool = False
    multiline: bool = False
    baseline: Any = None
    spare_baseline: bool = False
    late: bool = False

    def target(self, name: str = "") -> Target:
        """The target of this name, or the usual one."""
        return next((own for own in self.targets if own.name == name), self.targets[0])


@dataclass(frozen=True)
class AxisValues:
    """An axis with its chosen values; a KILN_AXIS socket carries a tuple of them.

    Attributes:
        axis_name: of the axis.
        values: what it varies over, in the person's order.
        target_name: what the values set; empty for the usual.
    """

    axis_name: str
    values: tuple[Any, ...]
    target_name: str = ""

    @property
    def axis(self) -> Axis:
        """The axis itself."""
        return axes()[self.axis_name]

    @property
    def target(self) -> Target:
        """What the values set."""
        return self.axis.target(self.target_name)

    def label_of(self, value: Any) -> str:
        """A value's label in the grid."""
        return self._labels[self.values.index(value)]

    def labels(self) -> tuple[str, ...]:
        """One label per value, all of them different."""
        return self._labels

    @cached_property
    def _labels(self) -> tuple[str, ...]:
        target = self.target
        labels = target.labels or (lambda values: [target.label(value) for value in values])
        return tuple(_told_apart(labels(self.values)))


def _told_apart(labels: Sequence[str]) -> list[str]:
    """A number behind a label that was there before: an empty prompt is shown as (empty)."""
    told: dict[str, None] = {}
    for label in labels:
        names = (f"{label} ({number})" if number > 1 else label for number in count(1))
        told[next(name for name in names if name not in told)] = None
    return list(told)


def axes() -> dict[str, Axis]:
    """Every axis by name."""
    from . import axes as package

    return declared_objects(package, "AXIS")
