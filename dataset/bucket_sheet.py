"""Draws what each picture loses when it is cut to its training size."""

from __future__ import annotations

import math
from collections.abc import Iterator

from PIL import Image, ImageDraw

from ..core.lettering import draw_lines, wrapped
from .bucket_plan import BucketPlan, Size
from .decode import decode
from .latents import View

PAGE_PX = (1600, 1200)
MOST_PICTURE_PAGES = 12
MARGIN_PX, COLUMNS, ROWS = 28, 6, 4
TITLE_PX, LABEL_PX, TITLE_LETTERS, LETTERS = 44, 54, 24, 14
INK, FAINT, PAPER, RUST, TEAL = "#23201d", "#6b6259", "#faf7f2", "#b5432a", "#2f6f6a"
MOST_BARS = 24


def draw_bucket_pages(plan: BucketPlan, background: str) -> Iterator[Image.Image]:
    """The histogram of sizes, then the pictures with what is cut off, the worst first.

    Pictures are decoded one by one, and shown small. Beyond the first
    ``MOST_PICTURE_PAGES`` pages they are only counted.

    Args:
        plan: the pictures and their places.
        background: colour behind transparent parts.

    Yields:
        Pages of one size, mode RGB.

    Raises:
        DatasetError: a picture can no longer be read.
    """
    yield _histogram_page(plan)
    views, on_page = plan.by_loss(), COLUMNS * ROWS
    pages = min(MOST_PICTURE_PAGES, math.ceil(len(views) / on_page))
    for number in range(pages):
        shown = views[number * on_page : (number + 1) * on_page]
        yield _pictures_page(shown, background, _title(number, pages, len(views)))


def _title(number: int, pages: int, count: int) -> str:
    rest = count - pages * COLUMNS * ROWS
    more = f"; {rest} that lose less are not shown" if rest > 0 and number == pages - 1 else ""
    return f"What is cut off, page {number + 1} of {pages}{more}"


def _page(title: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    page = Image.new("RGB", PAGE_PX, PAPER)
    draw = ImageDraw.Draw(page)
    lines = wrapped(title, PAGE_PX[0] - 2 * MARGIN_PX, most_lines=1, size=TITLE_LETTERS)
    draw_lines(draw, lines, (MARGIN_PX, MARGIN_PX), INK)
    return page, draw


def _histogram_page(plan: BucketPlan) -> Image.Image:
    """Bars: how many pictures each size has; those below a batch in another colour."""
    sizes = plan.histogram()
    page, draw = _page(
        f"{len(plan.views)} pictures in {len(sizes)} sizes, "
        f"{plan.lost_fraction():.1%} cut off on average"
    )
    shown, too_few = list(sizes.items())[:MOST_BARS], plan.too_few()
    height = (PAGE_PX[1] - 3 * MARGIN_PX - TITLE_PX) // MOST_BARS
    most = max(sizes.values(), default=1)
    for number, (size, count) in enumerate(shown):
        top = MARGIN_PX + TITLE_PX + number * height
        _bar(draw, size, count, most, (top, height), few=size in too_few)
    notes = []
    if too_few:
        notes.append(f"in this colour: fewer than a batch of {plan.batch_size}")
    if len(sizes) > len(shown):
        notes.append(f"{len(sizes) - len(shown)} more sizes, each with no more pictures")
    foot = wrapped("; ".join(notes), PAGE_PX[0] - 2 * MARGIN_PX, most_lines=1, size=16)
    draw_lines(draw, foot, (MARGIN_PX, PAGE_PX[1] - MARGIN_PX - 16), RUST)
    return page


def _bar(
    draw: ImageDraw.ImageDraw, size: Size, count: int, most: int, band: tuple[int, int], few: bool
) -> None:
    """One size: its outline, its name, its bar."""
    top, height = band
    side, colour = height - 8, RUST if few else TEAL
    scale = side / max(size)
    width, tall = size[0] * scale, size[1] * scale
    left, upper = MARGIN_PX + (side - width) / 2, top + (side - tall) / 2
    draw.rectangle((left, upper, left + width, upper + tall), outline=colour, width=2)
    text_top = top + side // 2 - 9
    name = wrapped(f"{size[0]} × {size[1]}", 160, most_lines=1, size=17)
    draw_lines(draw, name, (MARGIN_PX + side + 16, text_top), INK)
    start, room = MARGIN_PX + side + 180, PAGE_PX[0] - 2 * MARGIN_PX - side - 280
    end = start + max(2, round(room * count / most))
    draw.rectangle((start, top + 2, end, top + side - 2), fill=colour)
    draw_lines(draw, wrapped(str(count), 90, most_lines=1, size=17), (end + 10, text_top), INK)


def _pictures_page(views: list[View], background: str, title: str) -> Image.Image:
    page, draw = _page(title)
    cell_w = (PAGE_PX[0] - 2 * MARGIN_PX) // COLUMNS
    cell_h = (PAGE_PX[1] - 2 * MARGIN_PX - TITLE_PX) // ROWS
    room = (cell_w - 16, cell_h - LABEL_PX - 12)
    for number, view in enumerate(views):
        left = MARGIN_PX + number % COLUMNS * cell_w
        top = MARGIN_PX + TITLE_PX + number // COLUMNS * cell_h
        small = draw_loss(view, background, room)
        page.paste(small, (left + (room[0] - small.width) // 2, top + room[1] - small.height))
        placed = view.placement
        sizes = f"{view.width_px}×{view.height_px} to {placed.bucket_w}×{placed.bucket_h}"
        lost = f"{placed.area_lost_fraction:.1%} cut off"
        line_top = top + room[1] + 6
        for text, ink in ((view.item.name, INK), (lost, RUST), (sizes, FAINT)):
            line = wrapped(text, room[0], most_lines=1, size=LETTERS)
            draw_lines(draw, line, (left, line_top), ink)
            line_top += line.step_px
    return page


def draw_loss(view: View, background: str, room: tuple[int, int]) -> Image.Image:
    """The whole picture small, what is cut off tinted, the kept part framed.

    Args:
        view: the picture and its place.
        background: colour behind transparent parts.
        room: largest width and height, px.

    Raises:
        DatasetError: the picture can no longer be read.
    """
    picture = decode(view.item.source, background).image
    scale = min(room[0] / picture.width, room[1] / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = picture.resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.LANCZOS)
    placed = view.placement
    across, down = size[0] / placed.resized_w, size[1] / placed.resized_h
    box = (
        round(placed.crop_left * across),
        round(placed.crop_top * down),
        round((placed.crop_left + placed.bucket_w) * across),
        round((placed.crop_top + placed.bucket_h) * down),
    )
    tinted = Image.blend(small, Image.new("RGB", size, RUST), 0.6)
    tinted.paste(small.crop(box), box[:2])
    ImageDraw.Draw(tinted).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), outline=INK)
    return tinted
