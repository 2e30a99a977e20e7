"""Cells that differ in nothing but chance: the same settings with other seeds, or other prompts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from .cell_settings import CellSettings
from .cells import Cell


@dataclass(frozen=True)
class Group:
    """Cells of equal settings.

    Attributes:
        settings: what they share; what they do not is 0 or empty.
        cells: their indices, in the order of the sweep.
    """

    settings: CellSettings
    cells: tuple[int, ...]


def without_chance(settings: CellSettings, *, prompts: bool = False) -> CellSettings:
    """The settings but for the seed, and with ``prompts`` but for the prompt."""
    plain = replace(settings.canonical(), seed=0)
    return replace(plain, prompt="") if prompts else plain


def groups_of(cells: Iterable[Cell], *, prompts: bool = False) -> tuple[Group, ...]:
    """Cells by what they share, in the order in which each group is first met.

    The same picture twice (equal settings in two places of the grid) counts once.
    """
    found: dict[CellSettings, dict[CellSettings, int]] = {}
    for cell in cells:
        own = found.setdefault(without_chance(cell.settings, prompts=prompts), {})
        own.setdefault(cell.settings.canonical(), cell.index)
    return tuple(Group(settings, tuple(own.values())) for settings, own in found.items())
