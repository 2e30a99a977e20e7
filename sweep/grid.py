"""The labelled grid picture, one sheet per page.

Pictures are fetched one by one while a sheet is drawn: it and one picture are all that is in
memory, however many cells there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image, ImageDraw

from ..core.lettering import Lines, draw_lines, line_step, text_width, wrapped
from .cells import Cell, SweepPlan

SMALLEST_CELL_PX = 192
MARGIN_PX, LARGEST_GAP_PX = 14, 6
TITLE_LETTERS, LABEL_LETTERS, HEADING_LETTERS = 20, 17, 13
TITLE_LINES, COLUMN_LABEL_LINES, ROW_LABEL_LINES = 2, 3, 8
WIDEST_ROW_LABEL_PX = 300
INK, FAINT, PAPER, MISSING = "#23201d", "#4d463f", "#faf7f2", "#b9b4ad"

Painter = Callable[[Cell, tuple[int, int]], Image.Image | None]
"""Cell and its size in pixels -> its picture in that size; None where there is none."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How large a sheet may become.

    Attributes:
        cell_px: longest side of a cell.
        side_px: longest side of the sheet; a picture much larger opens nowhere.
        area_px: of the sheet; Pillow, and so ComfyUI's nodes, warn from 89 million pixels on.
    """

    cell_px: int = 640
    side_px: int = 12_000
    area_px: int = 85_000_000


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where everything stands, in pixels; the same for all pages, so that they lie on each other.

    Attributes:
        columns, rows: how many.
        cell: width and height.
        gap: between cells.
        label_width: of the row labels' column.
        title_height: of the line above everything.
        heading_height: of the columns' axis name.
        label_height: of the column labels' row.
        footer_height: below the cells.
    """

    columns: int
    rows: int
    cell: tuple[int, int]
    gap: int
    label_width: int
    title_height: int
    heading_height: int
    label_height: int
    footer_height: int

    @property
    def top(self) -> int:
        """Where the cells begin."""
        return self.title_height + self.heading_height + self.label_height

    @property
    def size(self) -> tuple[int, int]:
        """Of the whole sheet."""
        right, bottom = self.cells_box[2:]
        return right + MARGIN_PX, bottom + MARGIN_PX + self.footer_height

    @property
    def cells_box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of all cells together."""
        left, top = self.corner(0, 0)
        last_left, last_top = self.corner(self.rows - 1, self.columns - 1)
        return left, top, last_left + self.cell[0], last_top + self.cell[1]

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Upper left corner of a cell."""
        left = self.label_width + column * (self.cell[0] + self.gap)
        return left, self.top + row * (self.cell[1] + self.gap)


def draw_page(
    plan: SweepPlan,
    page: int,
    pictures: Mapping[int, Image.Image],
    errors: Mapping[int, str],
    title: str,
) -> Image.Image:
    """Draw one page of the sweep.

    Args:
        plan: the sweep.
        page: number of the page, from 0.
        pictures: finished cells by index; each is fetched once, and one to see its size.
        errors: reasons of failed cells by index; they become grey.
        title: line above the grid.
    """
    layout = lay_out(plan, picture_size(plan, pictures), title)
    return draw_sheet(plan, page, layout, plain_painter(pictures), errors, title)


def picture_size(plan: SweepPlan, pictures: Mapping[int, Image.Image]) -> tuple[int, int]:
    """Width and height of the pictures, or of a stand-in where there is none."""
    first = next((cell.index for cell in plan.drawn if cell.index in pictures), None)
    return (SMALLEST_CELL_PX, SMALLEST_CELL_PX) if first is None else pictures[first].size


def plain_painter(pictures: Mapping[int, Image.Image]) -> Painter:
    """The pictures as they are."""

    def paint(cell: Cell, size: tuple[int, int]) -> Image.Image | None:
        if cell.index not in pictures:
            return None
        return pictures[cell.index].convert("RGB").resize(size, Image.Resampling.LANCZOS)

    return paint


def draw_sheet(
    plan: SweepPlan,
    page: int,
    layout: Layout,
    painter: Painter,
    reasons: Mapping[int, str],
    title: str,
) -> Image.Image:
    """Draw the frame of a page and every cell in it.

    Args:
        plan: the sweep.
        page: number of the page, from 0.
        layout: of the sweep's pages.
        painter: draws the cells.
        reasons: why a cell has no picture, by index.
        title: line above the grid.
    """
    sheet = Image.new("RGB", layout.size, PAPER)
    draw = ImageDraw.Draw(sheet)
    heading = _heading(plan, page, title, layout.size[0])
    draw_lines(draw, heading, (MARGIN_PX, MARGIN_PX), INK)
    _draw_labels(draw, plan, layout)
    for cell in plan.cells:
        if cell.page != page:
            continue
        corner = layout.corner(cell.row, cell.column)
        picture = painter(cell, layout.cell)
        if picture is not None:
            sheet.paste(picture, corner)
        else:
            _draw_missing(draw, corner, layout.cell, reasons.get(cell.index) or "not drawn")
    return sheet


def lay_out(
    plan: SweepPlan,
    picture: tuple[int, int],
    title: str,
    limits: Limits | None = None,
    footer_height: int = 0,
) -> Layout:
    """Find the size of the cells and the room of the labels.

    Args:
        plan: the sweep.
        picture: width and height of the pictures.
        title: line above the grid.
        limits: of the sheet; the usual ones when left out.
        footer_height: room to leave below the cells.
    """
    limits = limits or Limits()
    columns, rows = len(plan.column_labels), len(plan.row_labels)
    heading_height = line_step(HEADING_LETTERS) + 2 if plan.axes else 0
    label_width = _label_width(plan)
    # Measured once the width is known, so as much room as the labels can need is kept free.
    above = (
        MARGIN_PX + TITLE_LINES * line_step(TITLE_LETTERS) + 10 + heading_height
        + COLUMN_LABEL_LINES * line_step(LABEL_LETTERS) + 8
    )  # fmt: skip
    cells_wide = limits.side_px - label_width - MARGIN_PX
    cells_high = limits.side_px - above - MARGIN_PX - footer_height
    gap = min(LARGEST_GAP_PX, cells_wide // (4 * columns), cells_high // (4 * rows))
    scale = min(
        # By a whole factor, so that all pixels of a small picture grow alike.
        float(max(1, -(-SMALLEST_CELL_PX // min(picture)))),
        limits.cell_px / max(picture),
        (cells_wide / columns - gap) / picture[0],
        (cells_high / rows - gap) / picture[1],
    )
    frame = (
        label_width + MARGIN_PX + columns * gap,
        above + MARGIN_PX + footer_height + rows * gap,
    )
    cell = _scaled(picture, scale)
    while _area(frame, cell, (columns, rows)) > limits.area_px and max(cell) > 1:
        scale *= 0.99
        cell = _scaled(picture, scale)
    width = label_width + columns * (cell[0] + gap) - gap + MARGIN_PX
    titles = [_heading(plan, page, title, width) for page in range(len(plan.page_labels))]
    labels = [_column_label(label, cell[0]) for label in plan.column_labels]
    return Layout(
        columns=columns,
        rows=rows,
        cell=cell,
        gap=gap,
        label_width=label_width,
        title_height=MARGIN_PX + max(lines.height_px for lines in titles) + 10,
        heading_height=heading_height,
        label_height=max(lines.height_px for lines in labels) + 8,
        footer_height=footer_height,
    )


def _scaled(picture: tuple[int, int], scale: float) -> tuple[int, int]:
    """Width and height, without losing a pixel to rounding."""
    return max(1, int(picture[0] * scale + 1e-6)), max(1, int(picture[1] * scale + 1e-6))


def _area(frame: tuple[int, int], cell: tuple[int, int], counts: tuple[int, int]) -> int:
    """Pixels of a sheet of so many cells inside a frame of labels and gaps."""
    return (frame[0] + counts[0] * cell[0]) * (frame[1] + counts[1] * cell[1])


def _heading(plan: SweepPlan, page: int, title: str, sheet_width: int) -> Lines:
    # The page's own values come first: a long title is cut at its end.
    text = " · ".join(part for part in (plan.page_labels[page], title) if part)
    room = sheet_width - 2 * MARGIN_PX
    return wrapped(text, room, most_lines=TITLE_LINES, size=TITLE_LETTERS, smallest=14)


def _column_label(label: str, width: int) -> Lines:
    return wrapped(label, width, most_lines=COLUMN_LABEL_LINES, size=LABEL_LETTERS)


def _label_width(plan: SweepPlan) -> int:
    """Of the row labels' column with its margins."""
    longest = max(text_width(label, LABEL_LETTERS) for label in plan.row_labels)
    if plan.axes:
        longest = max(longest, text_width(plan.axes[0].axis.title, HEADING_LETTERS))
    return min(WIDEST_ROW_LABEL_PX, int(longest) + 1) + MARGIN_PX + 12


def _draw_labels(draw: ImageDraw.ImageDraw, plan: SweepPlan, layout: Layout) -> None:
    label_room = layout.label_width - MARGIN_PX - 6
    if plan.axes:
        cells_left, _, cells_right, _ = layout.cells_box
        room = cells_right - cells_left
        heading = wrapped(plan.axes[1].axis.title, room, most_lines=1, size=HEADING_LETTERS)
        draw_lines(draw, heading, (cells_left, layout.title_height), FAINT)
        heading = wrapped(plan.axes[0].axis.title, label_room, most_lines=1, size=HEADING_LETTERS)
        lowest = layout.top - heading.step_px - 6
        draw_lines(draw, heading, (MARGIN_PX, lowest), FAINT)
    for column, label in enumerate(plan.column_labels):
        lines = _column_label(label, layout.cell[0])
        # At the cells' edge, so that short labels beside long ones do not hang in the air.
        top = layout.top - 8 - lines.height_px
        draw_lines(draw, lines, (layout.corner(0, column)[0], top), INK)
    for row, label in enumerate(plan.row_labels):
        most = max(1, min(ROW_LABEL_LINES, layout.cell[1] // line_step(LABEL_LETTERS)))
        lines = wrapped(label, label_room, most_lines=most, size=LABEL_LETTERS)
        middle = layout.corner(row, 0)[1] + (layout.cell[1] - lines.height_px) // 2
        draw_lines(draw, lines, (MARGIN_PX, max(layout.top, middle)), INK)


def _draw_missing(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], size: tuple[int, int], reason: str
) -> None:
    x, y = corner
    draw.rectangle((x, y, x + size[0] - 1, y + size[1] - 1), fill=MISSING)
    if min(size) < 3 * HEADING_LETTERS:
        return
    most = (size[1] - 16) // line_step(HEADING_LETTERS)
    text = wrapped(reason, size[0] - 16, most_lines=max(1, most), size=HEADING_LETTERS)
    draw_lines(draw, text, (x + 8, y + 8), FAINT)
