"""Draws the pictures that the demo model was trained on, and their captions.

Coloured shapes, pairs of shapes, scenes and textures; everything is a function of a random
generator, so a picture is made again from its seed. Drawn four times too large and reduced,
which gives smooth edges without any library but Pillow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from PIL import Image, ImageDraw

Color = tuple[int, int, int]
SCALE = 4

COLORS: dict[str, Color] = {
    "red": (214, 40, 40),
    "orange": (240, 136, 30),
    "yellow": (246, 208, 50),
    "green": (60, 160, 70),
    "blue": (50, 100, 210),
    "purple": (130, 70, 170),
    "pink": (240, 140, 180),
    "brown": (130, 85, 50),
    "black": (25, 25, 30),
    "white": (248, 248, 245),
    "grey": (140, 142, 145),
}
SHAPES = ("circle", "square", "triangle", "star", "ring", "cross", "heart", "moon")
PLACES = {
    "on the left": (-0.22, 0.0), "on the right": (0.22, 0.0),
    "at the top": (0.0, -0.22), "at the bottom": (0.0, 0.22),
}
SIZES = {"small": 0.55, "": 1.0, "large": 1.45}


class Canvas:
    """A picture being drawn in unit coordinates: x and y from 0 to 1.

    Args:
        width: in pixels.
        height: in pixels.
        ground: background colour.
    """

    def __init__(self, width: int, height: int, ground: Color) -> None:
        self.width, self.height = width * SCALE, height * SCALE
        self.image = Image.new("RGB", (self.width, self.height), ground)
        self.draw = ImageDraw.Draw(self.image)
        self.unit = min(self.width, self.height)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Unit coordinates to pixels of the large canvas."""
        return x * self.width, y * self.height

    def polygon(self, points: list[tuple[float, float]], color: Color) -> None:
        """Fill a polygon given in pixels of the large canvas."""
        self.draw.polygon(points, fill=color)

    def disc(self, x: float, y: float, radius: float, color: Color) -> None:
        """Fill a circle; the radius is a share of the shorter side."""
        cx, cy = self.at(x, y)
        r = radius * self.unit
        self.draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=color)

    def box(self, left: float, top: float, right: float, bottom: float, color: Color) -> None:
        """Fill a rectangle in unit coordinates."""
        self.draw.rectangle((*self.at(left, top), *self.at(right, bottom)), fill=color)

    def finish(self) -> Image.Image:
        """Reduce to the final size."""
        size = (self.width // SCALE, self.height // SCALE)
        return self.image.resize(size, Image.Resampling.LANCZOS)


def outline(name: str, radius: float, turn: float) -> list[tuple[float, float]]:
    """Points of a shape around the origin."""
    if name == "square":
        angles, radii = [math.pi / 4 + i * math.pi / 2 for i in range(4)], [radius * 1.15] * 4
    elif name == "triangle":
        angles, radii = [-math.pi / 2 + i * math.tau / 3 for i in range(3)], [radius * 1.2] * 3
    elif name == "star":
        angles = [-math.pi / 2 + i * math.pi / 5 for i in range(10)]
        radii = [radius * (1.2 if i % 2 == 0 else 0.5) for i in range(10)]
    elif name == "cross":
        w, r = radius * 0.34, radius * 1.05
        corners = [(-w, -r), (w, -r), (w, -w), (r, -w), (r, w), (w, w),
                   (w, r), (-w, r), (-w, w), (-r, w), (-r, -w), (-w, -w)]
        return [_turned(point, turn) for point in corners]
    elif name == "heart":
        steps = [i / 40 * math.tau for i in range(40)]
        return [
            (radius * 1.15 * math.sin(t) ** 3,
             -radius * (0.95 * math.cos(t) - 0.36 * math.cos(2 * t) - 0.15 * math.cos(3 * t)))
            for t in steps
        ]
    else:
        raise ValueError(name)
    points = zip(angles, radii, strict=True)
    return [_turned((r * math.cos(a), r * math.sin(a)), turn) for a, r in points]


def _turned(point: tuple[float, float], turn: float) -> tuple[float, float]:
    x, y = point
    return x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)


def draw_shape(
    canvas: Canvas, name: str, color: Color, hole: Color, x: float, y: float, radius: float,
    turn: float = 0.0,
) -> None:
    """Draw one shape; ``hole`` is the colour seen through a ring or beside a moon."""
    if name in ("circle", "ring", "moon"):
        canvas.disc(x, y, radius, color)
        if name == "ring":
            canvas.disc(x, y, radius * 0.55, hole)
        if name == "moon":
            shift = radius * 0.5 * canvas.unit / canvas.width
            canvas.disc(x + shift, y - shift * 0.4, radius * 0.85, hole)
        return
    cx, cy = canvas.at(x, y)
    points = outline(name, radius * canvas.unit, turn)
    canvas.polygon([(cx + px, cy + py) for px, py in points], color)


def draw_ground(canvas: Canvas, kind: str, first: Color, second: Color, random: Random) -> None:
    """Fill the background: plain, striped, dotted, chequered or fading."""
    count = random.randint(5, 8)
    step = canvas.unit / count
    if kind == "striped":
        for i in range(0, math.ceil(canvas.width / step) + 1, 2):
            canvas.draw.rectangle((i * step, 0, (i + 1) * step, canvas.height), fill=second)
    elif kind in ("dotted", "chequered"):
        for row in range(math.ceil(canvas.height / step) + 1):
            for column in range(math.ceil(canvas.width / step) + 1):
                left, top = column * step, row * step
                if kind == "dotted":
                    inset = step * 0.28
                    box = (left + inset, top + inset, left + step - inset, top + step - inset)
                    canvas.draw.ellipse(box, fill=second)
                elif (row + column) % 2:
                    canvas.draw.rectangle((left, top, left + step, top + step), fill=second)
    elif kind == "fading":
        for row in range(canvas.height):
            share = row / canvas.height
            mixed = tuple(
                round(a + (b - a) * share) for a, b in zip(first, second, strict=True)
            )
            canvas.draw.line((0, row, canvas.width, row), fill=mixed)


def jitter(color: Color, random: Random, amount: int = 14) -> Color:
    """The colour, a little different each time."""
    red, green, blue = (max(0, min(255, c + random.randint(-amount, amount))) for c in color)
    return red, green, blue


def _article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def draw_single(width: int, height: int, random: Random) -> tuple[Image.Image, str]:
    """One shape on a background."""
    shape = random.choice(SHAPES)
    name, ground_name = random.sample(sorted(COLORS), 2)
    kind = random.choice(("plain", "plain", "plain", "striped", "dotted", "chequered", "fading"))
    if shape in ("ring", "moon"):
        kind = "plain"  # One sees through them, and the hole is drawn in one colour.
    color, ground = jitter(COLORS[name], random), jitter(COLORS[ground_name], random)
    size = random.choice(("", "", "", "small", "large"))
    place = random.choice(("", "", "", *PLACES))
    dx, dy = PLACES.get(place, (0.0, 0.0))
    canvas = Canvas(width, height, ground)
    light = tuple(round(c + (255 - c) * 0.45) for c in ground)
    dark = tuple(round(c * 0.6) for c in ground)
    second = light if sum(ground) < 480 else dark
    draw_ground(canvas, kind, ground, second, random)  # type: ignore[arg-type]
    radius = 0.27 * SIZES[size] * random.uniform(0.9, 1.1) * (0.75 if place else 1.0)
    x = 0.5 + dx + random.uniform(-0.04, 0.04)
    y = 0.5 + dy + random.uniform(-0.04, 0.04)
    draw_shape(canvas, shape, color, ground, x, y, radius, random.uniform(-0.25, 0.25))
    subject = _article(" ".join(filter(None, (size, name, shape))))
    pattern = "" if kind == "plain" else f" {kind}"
    caption = f"{subject} on {_article(ground_name + pattern)} background"
    return canvas.finish(), f"{caption}, {place}" if place else caption


def draw_pair(width: int, height: int, random: Random) -> tuple[Image.Image, str]:
    """Two shapes side by side."""
    names = random.sample(sorted(COLORS), 3)
    left, right = random.choice(SHAPES), random.choice(SHAPES)
    ground = jitter(COLORS[names[2]], random)
    canvas = Canvas(width, height, ground)
    for shape, name, x in ((left, names[0], 0.28), (right, names[1], 0.72)):
        color = jitter(COLORS[name], random)
        y = 0.5 + random.uniform(-0.05, 0.05)
        draw_shape(canvas, shape, color, ground, x, y, 0.17, random.uniform(-0.2, 0.2))
    caption = (
        f"{_article(f'{names[0]} {left}')} beside {_article(f'{names[1]} {right}')} "
        f"on {_article(names[2])} background"
    )
    return canvas.finish(), caption


def draw_scene(width: int, height: int, random: Random) -> tuple[Image.Image, str]:
    """A house, tree, boat, mountain or flower by day, or any of them at night."""
    from .scenes import SCENE_DRAWERS

    name = random.choice(sorted(SCENE_DRAWERS))
    return SCENE_DRAWERS[name](width, height, random)


KINDS: tuple[tuple[Callable[[int, int, Random], tuple[Image.Image, str]], float], ...] = (
    (draw_single, 0.6), (draw_pair, 0.12), (draw_scene, 0.28),
)


def draw_any(width: int, height: int, random: Random) -> tuple[Image.Image, str]:
    """One picture of the training mixture with its caption."""
    drawers, weights = zip(*KINDS, strict=True)
    drawer = random.choices(drawers, weights)[0]
    return drawer(width, height, random)
