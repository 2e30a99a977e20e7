"""The curve as a picture: points of every seed, the fit with its band, and the window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..axis_values import number_text
from ..grid import FAINT, INK
from .canvas import BROKEN, FALLING, WHOLE, Canvas, Point
from .curve import Observation, curve_of
from .finding import Window
from .search import Search

WIDTH_PX, HEIGHT_PX = 1100, 660
LEFT, RIGHT, TOP, BOTTOM = 76, 1070, 150, 570
LOWEST, HIGHEST = -0.1, 1.15
SEED_COLORS = ("#2f6690", "#8a5a83", "#3a7d44", "#8c5e15", "#57534e")
SHAPES = (0, 4, 3, 5, 6)
LINE = "#d9d2c7"


class _Frame:
    """From strengths and scores to pixels."""

    def __init__(self, search: Search) -> None:
        self.last = search.highest

    def at(self, strength: float, score: float) -> Point:
        return self.x(strength), BOTTOM - (score - LOWEST) / (HIGHEST - LOWEST) * (BOTTOM - TOP)

    def x(self, strength: float) -> float:
        return LEFT + min(max(strength / self.last, 0.0), 1.0) * (RIGHT - LEFT)


def draw_plot(
    observed: Sequence[Observation], window: Window, search: Search, title: str
) -> Image.Image:
    """Draw one subject's curve; always of the same size.

    Args:
        observed: all its pictures' scores.
        window: what was found.
        search: the range.
        title: the subject on one line.
    """
    canvas, frame = Canvas(WIDTH_PX, HEIGHT_PX), _Frame(search)
    _zones(canvas, frame, window)
    _axes(canvas, frame)
    if window.estimate is not None:
        strengths = window.estimate.shape.strengths
        low, high = window.estimate.band
        edge = [frame.at(s, v) for s, v in zip(strengths, np.clip(high, LOWEST, 1.1), strict=True)]
        back = [frame.at(s, v) for s, v in zip(strengths, np.clip(low, LOWEST, 1.1), strict=True)]
        canvas.shade([*edge, *reversed(back)], "#5c554d", 0.22)
        curve = np.clip(window.estimate.shape.values[0], LOWEST, 1.1)
        fitted = zip(strengths, curve, strict=True)
        canvas.line([frame.at(s, v) for s, v in fitted], INK, 2.4)
    else:
        _means(canvas, frame, observed)
    seeds = sorted({own.seed for own in observed})
    for own in observed:
        look = seeds.index(own.seed) % len(SHAPES)
        point = frame.at(own.strength, float(np.clip(own.score, LOWEST, 1.1)))
        canvas.dot(point, SEED_COLORS[look], 4.2, SHAPES[look])
    _edges(canvas, frame, window)
    _heading(canvas, window, title)
    text = "curve, and 90 % of its bootstrap" if window.estimate else "mean of the seeds"
    _legend(canvas, seeds, text)
    return canvas.finished()


def _means(canvas: Canvas, frame: _Frame, observed: Sequence[Observation]) -> None:
    curve = curve_of(observed)
    means = zip(curve.strengths, curve.means, strict=True)
    points = [frame.at(float(s), float(np.clip(v, LOWEST, 1.1))) for s, v in means]
    if len(points) > 1:
        canvas.line(points, INK, 1.6)


def _zones(canvas: Canvas, frame: _Frame, window: Window) -> None:
    """Whole, falling, broken; where nothing is known to fall, what is not whole stays white."""
    last = frame.x(window.last_coherent)
    zones = [(float(LEFT), last, WHOLE)]
    if window.estimate is not None:
        broken = RIGHT if window.first_broken is None else frame.x(window.first_broken)
        zones += [(last, broken, FALLING), (broken, RIGHT, BROKEN)]
    for left, right, color in zones:
        if right - left >= 1:
            corners = [(left, TOP), (right, TOP), (right, BOTTOM), (left, BOTTOM)]
            canvas.shade(corners, color, 0.17)


def _axes(canvas: Canvas, frame: _Frame) -> None:
    for score in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = frame.at(0, score)[1]
        canvas.line([(LEFT, y), (RIGHT, y)], LINE)
        canvas.text((LEFT - 10, y), f"{score:.0%}", 14, FAINT, "rm")
    step = next(s for s in (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0) if frame.last / s <= 12)
    for number in range(int(frame.last / step + 1e-6) + 1):
        x = frame.x(number * step)
        canvas.line([(x, BOTTOM), (x, BOTTOM + 6)], FAINT)
        canvas.text((x, BOTTOM + 10), number_text(round(number * step, 3)), 14, FAINT, "ma")
    canvas.line([(LEFT, BOTTOM), (RIGHT, BOTTOM)], FAINT)
    canvas.text((RIGHT, BOTTOM + 34), "LoRA strength", 14, FAINT, "ra")
    canvas.text((LEFT - 58, TOP - 38), "subject left, against strength 0", 14, FAINT)


def _edges(canvas: Canvas, frame: _Frame, window: Window) -> None:
    """Both edges with their intervals above the frame, and the recommended strength."""
    marks = [(window.last_coherent, window.last_interval, "last coherent", WHOLE, -1)]
    if window.first_broken is not None:
        marks.append((window.first_broken, window.first_interval, "first broken", BROKEN, 1))
    for strength, interval, name, color, side in marks if window.estimate else ():
        x = frame.x(strength)
        canvas.line([(x, TOP), (x, BOTTOM)], color, 2)
        if interval is not None:
            # Intervals may overlap: one below the other.
            y = TOP + 20 + 8 * side
            ends = [(frame.x(end), y) for end in interval]
            canvas.line(ends, color, 3)
            for x_end, _ in ends:
                canvas.line([(x_end, y - 5), (x_end, y + 5)], color, 2)
        anchor = "rs" if side < 0 else "ls"
        x_text = max(x - 4, LEFT + 120) if side < 0 else min(x + 4, RIGHT - 130)
        canvas.text((x_text, TOP - 4), f"{name} {strength:.2f}", 15, INK, anchor)
    x = frame.x(window.recommended)
    canvas.dashed((x, TOP), (x, BOTTOM), INK, 1.6)
    text = f"use {number_text(window.recommended)}"
    width = canvas.text_width(text, 15)
    left = min(max(x - width / 2, LEFT), RIGHT - width)
    canvas.box((left - 6, BOTTOM - 27), (left + width + 6, BOTTOM - 5), INK)
    canvas.text((left, BOTTOM - 25), text, 15, "#faf7f2")


def _heading(canvas: Canvas, window: Window, title: str) -> None:
    canvas.text((20, 18), canvas.shortened(title, WIDTH_PX - 40, 21), 21)
    note = f": {window.notes[0]}" if window.notes else ""
    canvas.text((20, 52), canvas.shortened(window.verdict + note, WIDTH_PX - 40, 16), 16, FAINT)
    for number, note in enumerate(window.notes[1:3]):
        canvas.text((20, 72 + 18 * number), canvas.shortened(note, WIDTH_PX - 40, 15), 15, FAINT)


def _legend(canvas: Canvas, seeds: Sequence[int], line: str) -> None:
    left, y = float(LEFT), HEIGHT_PX - 28
    for number, seed in enumerate(seeds[:6]):
        look = number % len(SHAPES)
        canvas.dot((left + 6, y), SEED_COLORS[look], 4.2, SHAPES[look])
        canvas.text((left + 16, y), f"seed {seed}", 14, FAINT, "lm")
        left += 34 + canvas.text_width(f"seed {seed}", 14)
    canvas.line([(left, y), (left + 26, y)], INK, 2.4)
    canvas.text((left + 32, y), line, 14, FAINT, "lm")
