"""A small picture of the grid while it is being drawn."""

from __future__ import annotations

from PIL import Image

from .cells import Cell, SweepPlan

SIDE_PX = 512
PAPER, WAITING = "#faf7f2", "#ddd7ce"


class LiveSheet:
    """Thumbnails in their places, one page at a time.

    Args:
        plan: the sweep.
    """

    def __init__(self, plan: SweepPlan) -> None:
        columns, rows = max(1, len(plan.column_labels)), max(1, len(plan.row_labels))
        self._step = max(1, SIDE_PX // max(columns, rows))
        self._size = (columns * self._step, rows * self._step)
        self._page: int | None = None
        self._sheet = Image.new("RGB", self._size, PAPER)

    def add(self, cell: Cell, picture: Image.Image) -> Image.Image:
        """The sheet of the cell's page with its picture; hidden cells leave it as it is."""
        if cell.page < 0:
            return self._sheet
        if cell.page != self._page:
            self._page, self._sheet = cell.page, Image.new("RGB", self._size, PAPER)
        inner = max(1, self._step - 2)
        small = picture.copy()
        small.thumbnail((inner, inner))
        self._sheet.paste(small, (cell.column * self._step, cell.row * self._step))
        return self._sheet
