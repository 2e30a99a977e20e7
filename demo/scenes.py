"""Simple scenes: each is drawn by one function and described by one caption."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from PIL import Image

from .draw import COLORS, Canvas, Color, jitter

Drawn = tuple[Image.Image, str]
DAY_SKY: Color = (170, 215, 240)
NIGHT_SKY: Color = (30, 26, 48)
GRASS: Color = (110, 175, 80)
SEA: Color = (60, 130, 190)


def _stage(
    width: int, height: int, random: Random, floor: Color, horizon: float
) -> tuple[Canvas, str]:
    """Sky with sun or moon above a floor; returns the words for the light."""
    night = random.random() < 0.25
    canvas = Canvas(width, height, jitter(NIGHT_SKY if night else DAY_SKY, random))
    x = random.uniform(0.14, 0.86)
    if night:
        canvas.disc(x, 0.18, 0.08, (240, 236, 200))
        for _ in range(9):
            star = random.uniform(0, 1), random.uniform(0, horizon * 0.7)
            canvas.disc(*star, 0.008, (240, 240, 220))
    else:
        canvas.disc(x, 0.18, 0.1, jitter((250, 205, 60), random))
    shade = 0.45 if night else 1.0
    ground = jitter(floor, random)
    red, green, blue = (round(c * shade) for c in ground)
    canvas.box(0, horizon, 1, 1, (red, green, blue))
    return canvas, "under the moon at night" if night else "under the sun"


def draw_house(width: int, height: int, random: Random) -> Drawn:
    """A house with a coloured roof on grass."""
    canvas, light = _stage(width, height, random, GRASS, 0.7)
    wall_name = random.choice(("white", "yellow", "grey", "pink", "orange"))
    roof_name = random.choice(("red", "brown", "purple", "black", "green"))
    x = random.uniform(0.4, 0.6)
    u = canvas.unit
    cx, base = x * canvas.width, 0.78 * canvas.height
    half, tall = 0.2 * u, 0.28 * u
    wall, roof = jitter(COLORS[wall_name], random), jitter(COLORS[roof_name], random)
    canvas.draw.rectangle((cx - half, base - tall, cx + half, base), fill=wall)
    canvas.polygon(
        [(cx - half * 1.3, base - tall), (cx + half * 1.3, base - tall),
         (cx, base - tall - 0.2 * u)], roof,
    )
    canvas.draw.rectangle((cx - 0.05 * u, base - 0.15 * u, cx + 0.05 * u, base), fill=roof)
    return canvas.finish(), f"a {wall_name} house with a {roof_name} roof {light}"


def draw_tree(width: int, height: int, random: Random) -> Drawn:
    """A tree on a hill."""
    canvas, light = _stage(width, height, random, GRASS, 0.72)
    name = random.choice(("green", "green", "orange", "red", "pink"))
    x = random.uniform(0.38, 0.62)
    u = canvas.unit
    cx, base = x * canvas.width, 0.8 * canvas.height
    trunk = jitter(COLORS["brown"], random)
    canvas.draw.rectangle((cx - 0.035 * u, base - 0.3 * u, cx + 0.035 * u, base), fill=trunk)
    crown = jitter(COLORS[name], random)
    for dx, dy, r in ((0, 0.42, 0.17), (-0.11, 0.34, 0.12), (0.11, 0.34, 0.12)):
        canvas.disc(x + dx * u / canvas.width, 0.8 - dy * u / canvas.height, r, crown)
    return canvas.finish(), f"a {name} tree on a hill {light}"


def draw_boat(width: int, height: int, random: Random) -> Drawn:
    """A sailing boat on the sea."""
    canvas, light = _stage(width, height, random, SEA, 0.66)
    hull_name = random.choice(("red", "brown", "black", "green", "purple"))
    sail_name = random.choice(("white", "yellow", "orange", "pink"))
    x = random.uniform(0.4, 0.6)
    u = canvas.unit
    cx, base = x * canvas.width, 0.78 * canvas.height
    hull, sail = jitter(COLORS[hull_name], random), jitter(COLORS[sail_name], random)
    canvas.polygon(
        [(cx - 0.27 * u, base - 0.13 * u), (cx + 0.27 * u, base - 0.13 * u),
         (cx + 0.17 * u, base), (cx - 0.17 * u, base)], hull,
    )
    canvas.polygon(
        [(cx - 0.02 * u, base - 0.15 * u), (cx - 0.02 * u, base - 0.52 * u),
         (cx + 0.22 * u, base - 0.15 * u)], sail,
    )
    return canvas.finish(), f"a {hull_name} boat with a {sail_name} sail on the sea {light}"


def draw_mountain(width: int, height: int, random: Random) -> Drawn:
    """A mountain with a snowy top."""
    canvas, light = _stage(width, height, random, GRASS, 0.76)
    name = random.choice(("grey", "brown", "purple", "black"))
    x, top = random.uniform(0.4, 0.6), random.uniform(0.24, 0.34)
    cx, peak = x * canvas.width, top * canvas.height
    base = 0.76 * canvas.height
    half = 0.42 * canvas.unit
    rock = jitter(COLORS[name], random)
    canvas.polygon([(cx - half, base), (cx + half, base), (cx, peak)], rock)
    share = 0.32
    snow = [(cx - half * share, peak + (base - peak) * share),
            (cx + half * share, peak + (base - peak) * share), (cx, peak)]
    canvas.polygon(snow, (245, 245, 248))
    return canvas.finish(), f"a {name} mountain with snow {light}"


def draw_flower(width: int, height: int, random: Random) -> Drawn:
    """A flower with a stem and two leaves."""
    canvas, light = _stage(width, height, random, GRASS, 0.82)
    name = random.choice(("red", "pink", "purple", "orange", "white", "yellow"))
    x, y = random.uniform(0.42, 0.58), 0.42
    u = canvas.unit
    stem = jitter((50, 130, 60), random)
    cx, cy = canvas.at(x, y)
    canvas.draw.rectangle((cx - 0.02 * u, cy, cx + 0.02 * u, 0.9 * canvas.height), fill=stem)
    petal = jitter(COLORS[name], random)
    for i in range(6):
        angle = i * math.tau / 6
        dx, dy = 0.14 * math.cos(angle) * u, 0.14 * math.sin(angle) * u
        canvas.disc(x + dx / canvas.width, y + dy / canvas.height, 0.085, petal)
    canvas.disc(x, y, 0.08, COLORS["yellow"] if name != "yellow" else COLORS["brown"])
    return canvas.finish(), f"a {name} flower on a meadow {light}"


SCENE_DRAWERS: dict[str, Callable[[int, int, Random], Drawn]] = {
    "house": draw_house, "tree": draw_tree, "boat": draw_boat,
    "mountain": draw_mountain, "flower": draw_flower,
}
