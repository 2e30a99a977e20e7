"""A small picture of the grid while it is being drawn."""

from __future__ import annotations

from collections import OrderedDict

from PIL import Image

from .cells import Cell, SweepPlan

SIDE_PX = 512
PAPER = "#faf7f2"
KEPT_PAGES = 16
"""A batch may go through several pages, and come back to them."""


class LiveSheet:
    """Thumbnails in their places, one page at a time.

    Args:
        plan: the sweep.
    """

    def __init__(self, plan: SweepPlan) -> None:
        columns, rows = max(1, len(plan.column_labels)), max(1, len(plan.row_labels))
        self._step = max(1, SIDE_PX // max(columns, rows))
        self._size = (columns * self._step, rows * self._step)
        self._pages: OrderedDict[int, Image.Image] = OrderedDict()
        self._shown = Image.new("RGB", self._size, PAPER)

    def add(self, cell: Cell, picture: Image.Image) -> Image.Image:
        """The sheet of the cell's page with its picture; hidden cells leave it as it is."""
        if cell.page < 0:
            return self._shown
        self._shown = self._page(cell.page)
        inner = max(1, self._step - 2)
        small = picture.copy()
        small.thumbnail((inner, inner))
        self._shown.paste(small, (cell.column * self._step, cell.row * self._step))
        return self._shown

    def _page(self, number: int) -> Image.Image:
        """What of a page was drawn; of very many pages those seen longest ago begin anew."""
        if number not in self._pages:
            self._pages[number] = Image.new("RGB", self._size, PAPER)
            if len(self._pages) > KEPT_PAGES:
                self._pages.popitem(last=False)
        self._pages.move_to_end(number)
        return self._pages[number]
