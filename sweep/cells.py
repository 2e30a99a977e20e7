"""From axes to cells: which pictures there are, and which of them can be drawn together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product

from ..core.errors import ConfigError
from .axis import Axis, AxisValues, axes

MOST_CELLS = 4096


@dataclass(frozen=True, kw_only=True)
class CellSettings:
    """Everything that decides one picture, besides the model.

    Attributes:
        strength: of the LoRA.
        cfg: classifier-free guidance scale.
        seed: of the noise.
        steps: sampling steps.
        sampler: ComfyUI's sampler name.
        scheduler: ComfyUI's scheduler name.
        prompt: positive prompt.
        negative: negative prompt.
        width_px: multiple of 8.
        height_px: multiple of 8.
    """

    strength: float = 1.0
    cfg: float = 5.0
    seed: int = 0
    steps: int = 20
    sampler: str = "euler"
    scheduler: str = "normal"
    prompt: str = ""
    negative: str = ""
    width_px: int = 1024
    height_px: int = 1024


@dataclass(frozen=True)
class Cell:
    """One place in the grid: ``settings`` at (page, row, column)."""

    index: int
    page: int
    row: int
    column: int
    settings: CellSettings


@dataclass(frozen=True)
class SweepPlan:
    """The whole sweep.

    Attributes:
        cells: page by page, row by row.
        row_labels: one per row.
        column_labels: one per column.
        page_labels: one per page; a single empty one for two axes or fewer.
    """

    cells: tuple[Cell, ...]
    row_labels: tuple[str, ...]
    column_labels: tuple[str, ...]
    page_labels: tuple[str, ...]


def plan_sweep(base: CellSettings, chosen: Sequence[AxisValues]) -> SweepPlan:
    """Multiply the axes out: the first gives rows, the second columns, the rest pages.

    The strength axis is added when it is missing, and always contains 0: what the LoRA does can
    only be seen beside what the model does without it.

    Raises:
        ConfigError: the same axis twice, or too many pictures.
    """
    _refuse_twice(chosen)
    complete = [_with_baseline(values) for values in _with_strength(base, chosen)]
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
        paged = _apply(base, pages, combination)
        for row, row_value in enumerate(rows.values):
            for column, column_value in enumerate(columns.values):
                settings = _apply(paged, (rows, columns), (row_value, column_value))
                cells.append(Cell(len(cells), page, row, column, settings))
    return SweepPlan(
        cells=tuple(cells),
        row_labels=_labels(rows),
        column_labels=_labels(columns),
        page_labels=tuple(_page_label(pages, combination) for combination in combinations),
    )


def batches_of(
    cells: Sequence[Cell], *, share_strength: bool, limit: Callable[[CellSettings], int]
) -> list[list[Cell]]:
    """Cells that can go through the model together.

    Args:
        cells: to be drawn.
        share_strength: whether strengths may be mixed in a batch; False when they are patched
            into the weights.
        limit: most cells of such settings in a batch; asked once per group.
    """
    groups: dict[CellSettings, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(_shared(cell.settings, share_strength), []).append(cell)
    return [
        batch
        for settings, group in groups.items()
        for batch in _even(group, max(1, limit(settings)))
    ]


def _even(group: Sequence[Cell], limit: int) -> list[list[Cell]]:
    """As few batches as the limit allows, of about equal size."""
    count = -(-len(group) // limit)
    borders = [len(group) * number // count for number in range(count + 1)]
    return [list(group[a:b]) for a, b in pairwise(borders)]


def _shared(settings: CellSettings, share_strength: bool) -> CellSettings:
    """What all cells of one batch must have in common; CFG and seed may differ."""
    strength = 0.0 if share_strength else settings.strength
    return replace(settings, cfg=0.0, seed=0, strength=strength)


def _refuse_twice(chosen: Sequence[AxisValues]) -> None:
    names = [values.axis_name for values in chosen]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"The {axes()[name].title} axis is connected twice",
                expected="each axis once",
                remedy="Put all its values into one node",
            )


def _with_strength(base: CellSettings, chosen: Sequence[AxisValues]) -> list[AxisValues]:
    if any(values.axis_name == "strength" for values in chosen):
        return list(chosen)
    # The base value 0 alone has nothing beside it; then there is one column, the model itself.
    strengths = AxisValues("strength", tuple(dict.fromkeys((0.0, base.strength))))
    return [*chosen[:1], strengths, *chosen[1:]]


def _with_baseline(values: AxisValues) -> AxisValues:
    baseline = values.axis.baseline
    if baseline is None or baseline in values.values:
        return values
    return AxisValues(values.axis_name, (baseline, *values.values))


def _apply(
    settings: CellSettings, chosen: Sequence[AxisValues], values: Sequence[object]
) -> CellSettings:
    changes = {a.axis.field: value for a, value in zip(chosen, values, strict=True)}
    return replace(settings, **changes)  # type: ignore[arg-type]


def _labels(values: AxisValues) -> tuple[str, ...]:
    axis: Axis = values.axis
    return tuple(axis.label(value) for value in values.values)


def _page_label(pages: Sequence[AxisValues], combination: Sequence[object]) -> str:
    return ", ".join(a.axis.label(v) for a, v in zip(pages, combination, strict=True))
