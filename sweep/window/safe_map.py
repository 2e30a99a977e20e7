"""Where a LoRA is safe over strength and CFG: a map with one band per CFG scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageColor

from ..axis_values import number_text
from ..grid import FAINT, INK
from .canvas import BROKEN, FALLING, WHOLE, Canvas
from .curve import curve_of
from .finding import Window
from .plot import BOTTOM, HEIGHT_PX, LEFT, RIGHT, WIDTH_PX
from .rounds import Hunt

TOP = 110
SLICE_PX = 4


def draw_safe_map(hunt: Hunt, windows: Sequence[Window], title: str) -> Image.Image:
    """Draw the map: of several prompts, the one that has lost the most.

    Args:
        hunt: after its last round.
        windows: one per subject.
        title: above it.
    """
    canvas = Canvas(WIDTH_PX, HEIGHT_PX)
    scales = sorted({subject.cfg for subject in hunt.subjects}, reverse=True)
    tall = (BOTTOM - TOP) / len(scales)
    last, broken = [], []
    for number, cfg in enumerate(scales):
        top, middle = TOP + number * tall, TOP + (number + 0.5) * tall
        own = [n for n, subject in enumerate(hunt.subjects) if subject.cfg == cfg]
        _band(canvas, hunt, own, top, top + tall - 3)
        canvas.text((LEFT - 10, middle), f"CFG {number_text(cfg)}", 14, FAINT, "rm")
        last.append((_x(hunt, min(windows[n].last_coherent for n in own)), middle))
        ends = [w.first_broken for n in own if (w := windows[n]).first_broken is not None]
        if ends:
            broken.append((_x(hunt, min(ends)), middle))
    for points, color in ((last, INK), (broken, "#faf7f2")):
        if len(points) > 1:
            canvas.line(points, color, 3)
        for point in points:
            canvas.dot(point, color, 6)
    _marks(canvas, hunt, min(window.recommended for window in windows))
    canvas.text((20, 18), canvas.shortened(title, WIDTH_PX - 40, 21), 21)
    canvas.text(
        (20, 54), "Dark: last coherent strength. Light: first broken. Colour: how much of the "
        "subject was left.", 15, FAINT,
    )  # fmt: skip
    return canvas.finished()


def _band(canvas: Canvas, hunt: Hunt, subjects: Sequence[int], top: float, bottom: float) -> None:
    """Straight lines between what was measured, as colours."""
    curves = [curve_of(hunt.observed(number)) for number in subjects]
    for left in range(LEFT, RIGHT, SLICE_PX):
        strength = (left - LEFT) / (RIGHT - LEFT) * hunt.search.highest
        kept = [float(np.interp(strength, c.strengths, c.means)) for c in curves if len(c.means)]
        color = _color(min(kept)) if kept else "#b9b4ad"
        canvas.box((left, top), (left + SLICE_PX, bottom), color)


def _marks(canvas: Canvas, hunt: Hunt, recommended: float) -> None:
    for number in range(9):
        strength = hunt.search.highest * number / 8
        canvas.text((_x(hunt, strength), BOTTOM + 10), f"{strength:.2g}", 14, FAINT, "ma")
    canvas.text((RIGHT, BOTTOM + 34), "LoRA strength", 14, FAINT, "ra")
    x = _x(hunt, recommended)
    canvas.dashed((x, TOP - 8), (x, BOTTOM), INK, 1.6)
    text = f"safe for all: {number_text(recommended)}"
    half = canvas.text_width(text, 15) / 2
    canvas.text((min(max(x, LEFT + half), RIGHT - half), TOP - 12), text, 15, INK, "ms")


def _x(hunt: Hunt, strength: float) -> float:
    return LEFT + min(max(strength / hunt.search.highest, 0.0), 1.0) * (RIGHT - LEFT)


def _color(score: float) -> str:
    """From broken over falling to whole."""
    stops = [np.array(ImageColor.getrgb(c), float) for c in (BROKEN, FALLING, WHOLE)]
    place = min(max(score, 0.0), 1.0) * 2
    lower = min(int(place), 1)
    mixed = stops[lower] + (stops[lower + 1] - stops[lower]) * (place - lower)
    return "#" + "".join(f"{round(value):02x}" for value in mixed)
