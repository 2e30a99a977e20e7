"""The pictures of a dataset on sheets, with their captions and what the lint says of each."""

from __future__ import annotations

import math
from collections.abc import Iterable

from PIL import Image, ImageDraw

from ...core.lettering import draw_lines, line_step, wrapped
from ..decode import decode
from ..items import Dataset, DatasetItem
from .finding import ERROR, INFO, LEVELS, WARNING, Finding
from .report import LintReport
from .told import summary

PAPER, INK, FAINT, LINE = "#faf6ef", "#2b2622", "#8a8178", "#d9d1c5"
MARKS = {ERROR: "#b5432a", WARNING: "#c98a1b", INFO: "#56688c"}
COLUMNS, ROWS, MOST_PAGES = 6, 4, 4
THUMBNAIL_PX, MARGIN_PX, GAP_PX = 220, 24, 18
_LETTERS, _CAPTION_LINES, _MARK_LINES = 13, 3, 3


def draw_sheets(
    dataset: Dataset, report: LintReport, *, most_pages: int = MOST_PAGES
) -> list[Image.Image]:
    """Draw the sheets, all of one size; pictures with the worst findings come first.

    Args:
        dataset: the pictures; at most ``most_pages`` times 24 are decoded and shown.
        report: what was found.
        most_pages: the rest is counted in the heading and stands in the report.
    """
    marks = _marks(report)
    order = sorted(
        range(len(dataset)), key=lambda number: _urgency(marks.get(dataset.items[number].name))
    )
    shown = order[: most_pages * COLUMNS * ROWS]
    pages = max(1, math.ceil(len(shown) / (COLUMNS * ROWS)))
    columns = max(1, min(COLUMNS, len(shown)))
    rows = max(1, min(ROWS, math.ceil(len(shown) / columns)))
    sheets = []
    for page in range(pages):
        items = [
            dataset.items[number] for number in shown[page * columns * rows :][: columns * rows]
        ]
        heading = summary(report)
        if pages > 1 or len(shown) < len(dataset):
            rest = f"{len(shown):,} of {len(dataset):,} pictures shown"
            heading += f" Sheet {page + 1} of {pages}, {rest}, the worst first."
        sheets.append(_sheet(heading, items, marks, dataset.background, (columns, rows)))
    return sheets


Marks = dict[str, list[Finding]]


def _marks(report: LintReport) -> Marks:
    """Findings by picture, the worst first. One that concerns most pictures marks none of them."""
    found: Marks = {}
    for finding in report.findings:
        if len(finding.items) <= max(12, report.pictures // 4):
            for name in finding.items:
                found.setdefault(name, []).append(finding)
    return found


def _urgency(findings: list[Finding] | None) -> int:
    return LEVELS.index(findings[0].level) if findings else len(LEVELS)


def _sheet(
    heading: str, items: Iterable[DatasetItem], marks: Marks, background: str,
    size: tuple[int, int],
) -> Image.Image:
    columns, rows = size
    width = max(640, 2 * MARGIN_PX + columns * (THUMBNAIL_PX + GAP_PX) - GAP_PX)
    title = wrapped(heading, width - 2 * MARGIN_PX, most_lines=2, size=18, smallest=13)
    text_px = (1 + _CAPTION_LINES + _MARK_LINES) * line_step(_LETTERS) + 10
    step = (THUMBNAIL_PX + GAP_PX, THUMBNAIL_PX + text_px + GAP_PX)
    top = 2 * MARGIN_PX + 2 * line_step(18)
    sheet = Image.new("RGB", (width, top + rows * step[1] + MARGIN_PX - GAP_PX), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw_lines(draw, title, (MARGIN_PX, MARGIN_PX), INK)
    for number, item in enumerate(items):
        corner = (MARGIN_PX + number % columns * step[0], top + number // columns * step[1])
        _cell(sheet, draw, item, marks.get(item.name, []), background, corner)
    return sheet


def _cell(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, item: DatasetItem, findings: list[Finding],
    background: str, corner: tuple[int, int],
) -> None:
    left, top = corner
    small = decode(item.source, background).image
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    place = (left + (THUMBNAIL_PX - small.width) // 2, top + THUMBNAIL_PX - small.height)
    sheet.paste(small, place)
    colour = MARKS[findings[0].level] if findings else LINE
    frame = (place[0] - 2, place[1] - 2, place[0] + small.width + 1, place[1] + small.height + 1)
    draw.rectangle(frame, outline=colour, width=2 if findings else 1)
    down = top + THUMBNAIL_PX + 6
    name = wrapped(item.name, THUMBNAIL_PX, most_lines=1, size=_LETTERS)
    draw_lines(draw, name, (left, down), INK)
    down += line_step(_LETTERS)
    caption = "no caption" if item.caption is None else item.caption or "empty caption"
    lines = wrapped(caption, THUMBNAIL_PX, most_lines=_CAPTION_LINES, size=_LETTERS)
    draw_lines(draw, lines, (left, down), FAINT)
    down += _CAPTION_LINES * line_step(_LETTERS)
    _draw_marks(draw, findings, (left, down))


def _draw_marks(
    draw: ImageDraw.ImageDraw, findings: list[Finding], corner: tuple[int, int]
) -> None:
    """The rules by name, each once, in the colour of its level."""
    by_rule = {finding.rule: finding.level for finding in reversed(findings)}
    words = list(reversed(by_rule.items()))
    left, down = corner
    room = _MARK_LINES if len(words) <= _MARK_LINES else _MARK_LINES - 1
    for rule, level in words[:room]:
        draw.ellipse((left, down + 4, left + 7, down + 11), fill=MARKS[level])
        line = wrapped(rule, THUMBNAIL_PX - 14, most_lines=1, size=_LETTERS)
        draw_lines(draw, line, (left + 13, down), MARKS[level])
        down += line_step(_LETTERS)
    if len(words) > room:
        rest = wrapped(f"and {len(words) - room} more", THUMBNAIL_PX, most_lines=1, size=_LETTERS)
        draw_lines(draw, rest, (left + 13, down), FAINT)
