"""From axes to cells: which pictures there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from ..core.errors import ConfigError
from .axis import AxisValues, axes
from .cell_settings import CellSettings

MOST_CELLS = 4096
OFF_GRID = -1


@dataclass(frozen=True)
class Cell:
    """One place in the grid: ``settings`` at (page, row, column).

    Attributes:
        index: its number, page by page, row by row.
        values: the value of each of the plan's axes.
    """

    index: int
    page: int
    row: int
    column: int
    settings: CellSettings
    values: tuple[Any, ...] = ()


@dataclass(frozen=True)
class SweepPlan:
    """The whole sweep.

    Attributes:
        cells: page by page, row by row.
        row_labels: one per row.
        column_labels: one per column.
        page_labels: one per page; a single empty one for two axes or fewer.
        axes: rows, columns, then what the pages go through, the last one fastest.
        hidden: pictures of the model alone that the grid does not show, drawn to compare with;
            their page is ``OFF_GRID``.
    """

    cells: tuple[Cell, ...]
    row_labels: tuple[str, ...]
    column_labels: tuple[str, ...]
    page_labels: tuple[str, ...]
    axes: tuple[AxisValues, ...] = ()
    hidden: tuple[Cell, ...] = ()

    @property
    def drawn(self) -> tuple[Cell, ...]:
        """All cells, hidden ones last."""
        return self.cells + self.hidden

    def bases(self) -> dict[int, int]:
        """For each cell the one that shows the model alone with otherwise equal settings."""
        alone = {c.settings.canonical(): c.index for c in self.drawn if not c.settings.has_lora}
        partners = {c.index: alone.get(c.settings.without_lora()) for c in self.drawn}
        return {index: base for index, base in partners.items() if base is not None}

    def places(self) -> list[tuple[int, ...]]:
        """For each cell of the grid the place of its value on each axis: rows, columns, pages."""
        pages = list(product(*(range(len(own.values)) for own in self.axes[2:])))
        return [(cell.row, cell.column, *pages[cell.page]) for cell in self.cells]


def plan_sweep(base: CellSettings, chosen: Sequence[AxisValues]) -> SweepPlan:
    """Multiply the axes out: the first gives rows, the second columns, the rest pages.

    The model without the LoRA is always there: a strength axis always has 0; without one, an axis
    of LoRAs or blocks gets the value ``none``; without these, strengths are added.
    Where strengths vary on the model or the text encoders alone, that picture is a hidden cell.

    Raises:
        ConfigError: the same axis twice, or too many pictures.
    """
    _refuse_twice(chosen)
    complete = _with_comparison(base, chosen)
    while len(complete) < 2:
        complete.append(AxisValues("cfg", (base.cfg,)))
    rows, columns, pages = complete[0], complete[1], complete[2:]
    combinations = list(product(*(values.values for values in pages)))
    count = len(rows.values) * len(columns.values) * len(combinations)
    if count > MOST_CELLS:
        raise ConfigError(
            f"The axes multiply to {count} pictures",
            expected=f"at most {MOST_CELLS}",
            remedy="Take fewer values",
        )
    cells: list[Cell] = []
    for page, combination in enumerate(combinations):
        for row, row_value in enumerate(rows.values):
            for column, column_value in enumerate(columns.values):
                own = (row_value, column_value, *combination)
                settings = _apply(base, complete, own)
                cells.append(Cell(len(cells), page, row, column, settings, own))
    return SweepPlan(
        cells=tuple(cells),
        row_labels=rows.labels(),
        column_labels=columns.labels(),
        page_labels=tuple(", ".join(own) for own in product(*(p.labels() for p in pages))),
        axes=tuple(complete),
        hidden=_hidden_bases(cells),
    )


def _hidden_bases(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """What the LoRA does can only be seen beside what the model does without it."""
    shown = {cell.settings.canonical() for cell in cells}
    wanted = dict.fromkeys(cell.settings.without_lora() for cell in cells)
    missing = [settings for settings in wanted if settings not in shown]
    return tuple(
        Cell(len(cells) + number, OFF_GRID, OFF_GRID, OFF_GRID, settings)
        for number, settings in enumerate(missing)
    )


def _refuse_twice(chosen: Sequence[AxisValues]) -> None:
    names = [values.axis_name for values in chosen]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"The {axes()[name].title} axis is connected twice",
                expected="each axis once",
                remedy="Put all its values into one node",
            )


def _with_comparison(base: CellSettings, chosen: Sequence[AxisValues]) -> list[AxisValues]:
    """One axis shows the model without the LoRA; where none can, strengths are added that do."""
    able = [values for values in chosen if values.axis.baseline is not None]
    if able:
        bearer = min(able, key=_willingness)
        return [_with_baseline(values) if values is bearer else values for values in chosen]
    # The base value 0 alone has nothing beside it; then there is one column, the model itself.
    strengths = AxisValues("strength", tuple(dict.fromkeys((0.0, base.strength))))
    # Beside a single axis; two that the person chose stay rows and columns.
    return [*chosen, strengths]


def _willingness(values: AxisValues) -> tuple[bool, bool]:
    """The axis whose zero it is comes first, then one where the person wrote it already."""
    return values.axis.spare_baseline, values.axis.baseline not in values.values


def _with_baseline(values: AxisValues) -> AxisValues:
    baseline = values.axis.baseline
    if baseline is None or baseline in values.values:
        return values
    return AxisValues(values.axis_name, (baseline, *values.values), values.target_name)


def _apply(
    settings: CellSettings, chosen: Sequence[AxisValues], values: Sequence[Any]
) -> CellSettings:
    """All values set, those last that change what others set."""
    pairs = sorted(zip(chosen, values, strict=True), key=lambda pair: pair[0].axis.late)
    for axis_values, value in pairs:
        settings = axis_values.target.apply(settings, value)
    return settings
