"""The scores at a glance: settings as points, the shortlist with its pictures, copies in pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from .cell_settings import CellSettings
from .cells import SweepPlan
from .ink import (
    FAINT,
    INK,
    LINE,
    PALE,
    PAPER,
    RUST,
    TEAL,
    font,
    mixed,
    round_values,
    short_text,
    thumbnail,
    write,
)
from .pareto import Candidate, Choice
from .score import Scored, ScoreInput, scores

WIDTH, MARGIN = 1500, 32
PLOT = (MARGIN + 62, 112, 820, 700)
CARD_LEFT, CARD_H, CARD_GAP, THUMB = 880, 118, 10, 104
MOST_THUMBS, MOST_PAIRS, PAIR_SIDE = 2, 4, 150
CHANCE_AXES = ("seed", "prompt", "replace")
"""Axes whose values are averaged over."""


@dataclass(frozen=True)
class _Plot:
    """Where figures stand in the plot."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def place(self, x: float, y: float) -> tuple[float, float]:
        left, top, right, bottom = PLOT
        return (
            left + (x - self.x_low) / (self.x_high - self.x_low) * (right - left),
            bottom - (y - self.y_low) / (self.y_high - self.y_low) * (bottom - top),
        )


def draw_overview(
    given: ScoreInput,
    found: Mapping[str, Scored],
    choice: Choice,
    training_picture: Callable[[int], Image.Image],
    title: str,
) -> Image.Image:
    """Draw the whole sheet.

    Args:
        given: what the scores saw.
        found: the scores.
        choice: what is worth a look.
        training_picture: reads a training picture by its number.
        title: line above.
    """
    pairs = _worst_copies(found)
    height = PLOT[3] + 92 + (PAIR_SIDE + 104 if pairs else 0)
    sheet = Image.new("RGB", (WIDTH, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    write(draw, title, (MARGIN, 24), WIDTH - 2 * MARGIN, 24)
    told = f"Pictures are compared by {given.vectors.name}. No figure here is beauty: look, then "
    write(draw, told + "choose.", (MARGIN, 60), WIDTH - 2 * MARGIN, 15, FAINT)
    if len(choice.goals) > 1 and choice.candidates:
        _draw_plot(draw, choice)
    _draw_cards(sheet, draw, given, choice)
    if pairs:
        _draw_pairs(sheet, draw, given, found, pairs, training_picture)
    return sheet


def settings_label(plan: SweepPlan, cell: int) -> str:
    """What sets a cell apart, chance aside: ``strength 0.8, CFG 4``."""
    values = plan.cells[cell].values
    parts = [
        axis.label_of(value)
        for axis, value in zip(plan.axes, values, strict=False)
        if axis.axis_name not in CHANCE_AXES and len(axis.values) > 1
    ]
    return ", ".join(parts) or _plain_label(plan.cells[cell].settings)


def _plain_label(settings: CellSettings) -> str:
    return f"strength {settings.strength:g}, CFG {settings.cfg:g}"


def _draw_plot(draw: ImageDraw.ImageDraw, choice: Choice) -> None:
    """The first goal across, the last one up; a goal between them is the points' colour."""
    across, up = choice.goals[0], choice.goals[-1]
    shade = choice.goals[1] if len(choice.goals) > 2 else None
    plot = _Plot(*_limits(choice, across), *_limits(choice, up))
    _draw_frame(draw, plot, across, up, shade)
    front = {candidate.settings for candidate in choice.front}
    shades = [own.means[shade] for own in choice.candidates] if shade else [0.0]
    low, high = min(shades), max(shades)
    # Those on the front come last, above the others.
    for own in sorted(choice.candidates, key=lambda c: c.settings in front):
        x, y = plot.place(own.means[across], own.means[up])
        share = (own.means[shade] - low) / (high - low) if shade and high > low else 0.5
        radius, colour = 9, mixed("#e3dacb", TEAL, share)
        if own.is_copy:
            draw.rectangle((x - 7, y - 7, x + 7, y + 7), fill=PAPER, outline=RUST, width=3)
            continue
        if own.settings in front:
            _draw_spread(draw, plot, own, across, up)
        box = (x - radius, y - radius, x + radius, y + radius)
        outline, width = (INK, 2) if own.settings in front else (LINE, 1)
        draw.ellipse(box, fill=colour, outline=outline, width=width)
    for number, own in enumerate(choice.shortlist, start=1):
        _draw_badge(draw, plot.place(own.means[across], own.means[up]), number)


def _limits(choice: Choice, goal: str) -> tuple[float, float]:
    means = [candidate.means[goal] for candidate in choice.candidates]
    low, high = min(means), max(means)
    room = (high - low) * 0.09 or max(abs(high), 1.0) * 0.05
    return low - room, high + room


def _draw_frame(
    draw: ImageDraw.ImageDraw, plot: _Plot, across: str, up: str, shade: str | None
) -> None:
    left, top, right, bottom = PLOT
    draw.rectangle(PLOT, fill="#fffdf9", outline=LINE)
    for value in round_values(plot.x_low, plot.x_high):
        x, _ = plot.place(value, plot.y_low)
        draw.line((x, top, x, bottom), fill=PALE)
        draw.text((x, bottom + 8), f"{value:g}", fill=FAINT, font=font(13), anchor="ma")
    for value in round_values(plot.y_low, plot.y_high):
        _, y = plot.place(plot.x_low, value)
        draw.line((left, y, right, y), fill=PALE)
        draw.text((left - 8, y), f"{value:g}", fill=FAINT, font=font(13), anchor="rm")
    known = scores()
    write(draw, f"{known[across].title}: {_wish(across)}", (left, bottom + 30), right - left, 16)
    # Written along the axis' head instead of turned: turned letters read badly.
    write(draw, f"{known[up].title}: {_wish(up)}", (left - 54, top - 24), right - left, 16)
    legend = "ring: on the Pareto front   |   lines: spread over seeds   |   square: copied"
    if shade is not None:
        legend = f"darker: more {known[shade].title.lower()}   |   {legend}"
    write(draw, legend, (left - 54, bottom + 58), right - left + 54, 14, FAINT)


def _wish(goal: str) -> str:
    better = scores()[goal].better
    return {"higher": "more is better", "lower": "less is better", "neither": "more LoRA"}[better]


def _draw_spread(
    draw: ImageDraw.ImageDraw, plot: _Plot, own: Candidate, across: str, up: str
) -> None:
    x, y, dx, dy = own.means[across], own.means[up], own.spreads[across], own.spreads[up]
    left, top, right, bottom = PLOT
    ends = [plot.place(x - dx, y), plot.place(x + dx, y), plot.place(x, y - dy),
            plot.place(x, y + dy)]
    inside = [(min(max(px, left), right), min(max(py, top), bottom)) for px, py in ends]
    draw.line((*inside[0], *inside[1]), fill=INK, width=1)
    draw.line((*inside[2], *inside[3]), fill=INK, width=1)


def _draw_badge(draw: ImageDraw.ImageDraw, middle: tuple[float, float], number: int) -> None:
    x, y = middle
    draw.ellipse((x - 12, y - 12, x + 12, y + 12), fill=INK)
    draw.text((x, y), str(number), fill="#ffffff", font=font(15), anchor="mm")


def _draw_cards(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, given: ScoreInput, choice: Choice
) -> None:
    """The shortlist, one setting below the other."""
    top = PLOT[1]
    heading = "Shortlist" if choice.shortlist else "Nothing is on the shortlist"
    write(draw, heading, (CARD_LEFT, top - 26), 500, 18)
    for number, own in enumerate(choice.shortlist, start=1):
        y = top + (number - 1) * (CARD_H + CARD_GAP)
        draw.rectangle((CARD_LEFT, y, WIDTH - MARGIN, y + CARD_H - 1), fill="#fffdf9",
                       outline=LINE)
        _draw_card(sheet, draw, given, choice.goals, own, number, y)


def _draw_card(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, given: ScoreInput, goals: Sequence[str],
    own: Candidate, number: int, y: int,
) -> None:
    shown = own.cells[:MOST_THUMBS]
    for place, index in enumerate(shown):
        small = thumbnail(given.pictures[index], THUMB)
        left = CARD_LEFT + 7 + place * (THUMB + 6) + (THUMB - small.width) // 2
        sheet.paste(small, (left, y + 7 + (THUMB - small.height) // 2))
    x = CARD_LEFT + 16 + len(shown) * (THUMB + 6)
    width = WIDTH - MARGIN - x - 10
    _draw_badge(draw, (x + 12, y + 20), number)
    write(draw, settings_label(given.plan, own.cells[0]), (x + 32, y + 11), width - 32, 17)
    cells = f"cell {own.cells[0]}"
    if len(own.cells) > 1:
        cells = f"cells {', '.join(map(str, own.cells))}"
    write(draw, cells, (x, y + 36), width, 13, FAINT)
    for line, goal in enumerate(goals):
        spread = f" ± {short_text(own.spreads[goal])}" if len(own.cells) > 1 else ""
        text = f"{scores()[goal].title}  {short_text(own.means[goal])}{spread}"
        write(draw, text, (x, y + 56 + line * 19), width, 14)


def _worst_copies(found: Mapping[str, Scored]) -> list[int]:
    """Flagged cells, the most like a copy first, one for each training picture."""
    if "memorisation" not in found:
        return []
    own = found["memorisation"]
    flagged = [index for index, flag in own.details["flag"].items() if flag]
    seen: dict[str, int] = {}
    for index in sorted(flagged, key=lambda i: -own.values[i]):
        seen.setdefault(own.details["picture"][index], index)
    return list(seen.values())[:MOST_PAIRS]


def _draw_pairs(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, given: ScoreInput,
    found: Mapping[str, Scored], cells: Sequence[int],
    training_picture: Callable[[int], Image.Image],
) -> None:
    """Flagged cells beside the training pictures that they look like."""
    own, top = found["memorisation"], PLOT[3] + 100
    draw.line((MARGIN, top, WIDTH - MARGIN, top), fill=LINE)
    heading = "Copied? Left what was drawn, right the training picture it is most like"
    write(draw, heading, (MARGIN, top + 12), WIDTH - 2 * MARGIN, 18, RUST)
    numbers = {picture.name: number for number, picture in enumerate(given.training)}
    step = (WIDTH - 2 * MARGIN) / MOST_PAIRS
    for place, index in enumerate(cells):
        name = own.details["picture"][index]
        x, y = round(MARGIN + place * step), top + 44
        sides = (given.pictures[index], training_picture(numbers[name]))
        for offset, picture in zip((0, PAIR_SIDE + 4), sides, strict=True):
            sheet.paste(thumbnail(picture, PAIR_SIDE), (x + offset, y))
        text = f"cell {index}: {own.values[index]:.0%} of the way to {name}"
        write(draw, text, (x, y + PAIR_SIDE + 6), step - 20, 13)
