"""An animated picture that runs through one axis: what changes is seen better than compared.

Each frame shows the grid of the other axes at one value, drawn like a page; the frames run to the
last value and back again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import IO

from PIL import Image

from .axis import AxisValues
from .cells import SweepPlan
from .file_settings import AUTO, NONE
from .grid import Limits, draw_sheet, lay_out, picture_size, plain_painter
from .picture_metadata import exif_bytes

LIMITS = Limits(cell_px=640, side_px=1280)
SMALLEST_CELL_PX = 96
MOST_FRAMES = 64
RUN_MS, FASTEST_MS, SLOWEST_MS = 4000, 120, 800
"""One run through the axis; how long a frame stands at least and at most."""
QUALITY = 88


@dataclass(frozen=True)
class Strip:
    """A strip to be drawn.

    Attributes:
        plan: the sweep turned so that its pages are the axis' values.
        order: the pages in the order of the frames.
        durations_ms: how long each frame stands.
        notes: what was left out.
    """

    plan: SweepPlan
    order: tuple[int, ...]
    durations_ms: tuple[int, ...]
    notes: tuple[str, ...]


def plan_strip(plan: SweepPlan, wanted: str, picture: tuple[int, int]) -> Strip | str:
    """Decide what the strip shows, or say why there is none.

    Args:
        plan: the sweep.
        wanted: an axis' name, ``auto`` or ``none``.
        picture: width and height of the pictures.
    """
    axis = _chosen_axis(plan, wanted)
    if isinstance(axis, str):
        return axis
    turned, notes = _kept_readable(turn(plan, axis), picture)
    values = _in_order(plan.axes[axis].values)
    most = MOST_FRAMES // 2 + 1
    if len(values) > most:
        last = len(values) - 1
        values = [values[round(n * last / (most - 1))] for n in range(most)]
        notes += (f"the strip shows {most} of {last + 1} values",)
    order = (*values, *values[-2:0:-1])
    stand = min(SLOWEST_MS, max(FASTEST_MS, RUN_MS // len(values)))
    ends = (values[0], values[-1])
    durations = tuple(stand * (2 if value in ends else 1) for value in order)
    return Strip(turned, order, durations, notes)


def turn(plan: SweepPlan, axis: int) -> SweepPlan:
    """The same cells, with one axis as the pages and the others as in the grid.

    The columns stay the columns where they can; all other axes are multiplied into the rows.

    Args:
        plan: the sweep.
        axis: number of the axis among the plan's.
    """
    others = [number for number in range(len(plan.axes)) if number != axis]
    column = 1 if 1 in others else others[len(others) > 1]
    others.remove(column)
    rows = list(product(*(range(len(plan.axes[number].values)) for number in others)))
    row_of = {places: row for row, places in enumerate(rows)}
    cells = []
    for cell, places in zip(plan.cells, plan.places(), strict=True):
        row = row_of[tuple(places[number] for number in others)]
        cells.append(replace(cell, page=places[axis], row=row, column=places[column]))
    shown = [plan.axes[number] for number in others]
    # A heading stands for one axis; for several or none there is no heading at all.
    headed = (shown[0], plan.axes[column]) if len(shown) == 1 else ()
    return SweepPlan(
        cells=tuple(cells),
        row_labels=tuple(_joined(shown, places) for places in rows),
        column_labels=plan.axes[column].labels(),
        page_labels=plan.axes[axis].labels(),
        axes=headed,
        hidden=plan.hidden,
    )


def encode_strip(
    strip: Strip,
    file: IO[bytes],
    pictures: Mapping[int, Image.Image],
    errors: Mapping[int, str],
    title: str,
    texts: Mapping[str, str],
) -> None:
    """Write the strip as an animated WebP, frame by frame.

    Args:
        strip: from :func:`plan_strip`.
        file: to write into.
        pictures: finished cells by index.
        errors: reasons of failed cells by index.
        title: line above each frame.
        texts: such as the workflow.
    """
    layout = lay_out(strip.plan, picture_size(strip.plan, pictures), title, LIMITS)
    painter = plain_painter(pictures)

    def draw(frame: int) -> Image.Image:
        return draw_sheet(strip.plan, strip.order[frame], layout, painter, errors, title)

    frames = _Frames(layout.size, len(strip.order), draw)
    frames.save(
        file, "WEBP", save_all=True, duration=list(strip.durations_ms), loop=0, quality=QUALITY,
        method=4, minimize_size=False, exif=exif_bytes(texts)[0],
    )  # fmt: skip


class _Frames(Image.Image):
    """A picture of many frames, each drawn when it is asked for.

    Pillow makes a list of the pictures to append, so a generator would not save memory.
    """

    def __init__(
        self, size: tuple[int, int], count: int, draw: Callable[[int], Image.Image]
    ) -> None:
        super().__init__()
        self._mode, self._size = "RGB", size
        self.n_frames = count
        self._draw_frame, self._wanted, self._drawn = draw, 0, -1

    def seek(self, frame: int) -> None:
        """Go to a frame; it is drawn when it is read."""
        self._wanted = frame

    def tell(self) -> int:
        """Number of the frame."""
        return self._wanted

    def load(self) -> Image.core.PixelAccess | None:
        """Draw the frame unless it is the one that is there."""
        if self._drawn != self._wanted:
            drawn = self._draw_frame(self._wanted)
            drawn.load()
            self.im, self._drawn = drawn.im, self._wanted
        return super().load()


def _chosen_axis(plan: SweepPlan, wanted: str) -> int | str:
    """Number of the axis, or why there is none."""
    if wanted == NONE:
        return ""
    moving = [number for number, own in enumerate(plan.axes) if len(own.values) > 1]
    names = [plan.axes[number].axis_name for number in moving]
    if wanted != AUTO:
        if wanted in names:
            return moving[names.index(wanted)]
        return f"no animated strip: the sweep has no {wanted} axis with several values"
    if not moving:
        return "no animated strip: no axis has several values"
    if "strength" in names:
        return moving[names.index("strength")]
    return 1 if 1 in moving else moving[0]


def _in_order(values: Sequence[object]) -> list[int]:
    """Places of the values, numbers by size: the added strength 0 stands first in a plan."""
    places = list(range(len(values)))
    if all(isinstance(value, (int, float)) for value in values):
        places.sort(key=lambda place: values[place])  # type: ignore[arg-type,return-value]
    return places


def _joined(shown: Sequence[AxisValues], places: Sequence[int]) -> str:
    return ", ".join(own.labels()[place] for own, place in zip(shown, places, strict=True))


def _kept_readable(
    turned: SweepPlan, picture: tuple[int, int]
) -> tuple[SweepPlan, tuple[str, ...]]:
    """Only as many rows and columns as can be seen in a frame."""
    scale = SMALLEST_CELL_PX / max(picture)
    most_columns = max(1, int((LIMITS.side_px - 340) / (picture[0] * scale + 6)))
    most_rows = max(1, int((LIMITS.side_px - 180) / (picture[1] * scale + 6)))
    columns, rows = turned.column_labels[:most_columns], turned.row_labels[:most_rows]
    if len(columns) == len(turned.column_labels) and len(rows) == len(turned.row_labels):
        return turned, ()
    kept = replace(
        turned,
        cells=tuple(c for c in turned.cells if c.row < most_rows and c.column < most_columns),
        row_labels=rows,
        column_labels=columns,
    )
    note = (
        f"the strip shows {len(rows)} of {len(turned.row_labels)} rows and {len(columns)} of "
        f"{len(turned.column_labels)} columns"
    )
    return kept, (note,)
