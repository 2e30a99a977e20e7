"""Draws the dozen pictures of a style that the demo model has never seen: cyanotype prints.

    python -m demo.make_style

Run from the repository root. Pale lines and hatching on an uneven Prussian blue ground, in mixed
sizes and shapes; one JPEG lies on its side with an EXIF tag that turns it back, and one PNG is
transparent with ugly colours hidden under its transparent part.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

TRIGGER = "kilnprint"
SCALE = 4
GROUND = (16, 52, 118)
LINE = (214, 232, 244)
HIDDEN = (255, 0, 200)
Point = tuple[float, float]


class Sheet:
    """A mask of drawn lines; coordinates in shares of the shorter side, from the centre."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width * SCALE, height * SCALE)
        self.mask = Image.new("L", self.size, 0)
        self.draw = ImageDraw.Draw(self.mask)
        self.unit = min(self.size)
        self.pen = max(2, round(self.unit * 0.016))

    def at(self, x: float, y: float) -> Point:
        """Shares to pixels of the large mask."""
        return self.size[0] / 2 + x * self.unit, self.size[1] / 2 + y * self.unit

    def lines(self, points: list[Point], closed: bool = True) -> None:
        """Draw a polygon's outline, or an open line."""
        path = [self.at(*p) for p in points] + ([self.at(*points[0])] if closed else [])
        self.draw.line(path, fill=255, width=self.pen, joint="curve")

    def ring(self, x: float, y: float, radius: float) -> None:
        """Draw a circle's outline."""
        cx, cy = self.at(x, y)
        r = radius * self.unit
        self.draw.ellipse((cx - r, cy - r, cx + r, cy + r), outline=255, width=self.pen)

    def hatch(self, points: list[Point], gap: float = 0.045) -> None:
        """Fill a polygon with slanting lines."""
        inside = Image.new("L", self.size, 0)
        ImageDraw.Draw(inside).polygon([self.at(*p) for p in points], fill=255)
        strokes = Image.new("L", self.size, 0)
        pen = ImageDraw.Draw(strokes)
        step = gap * self.unit
        span = self.size[0] + self.size[1]
        for i in range(int(span / step)):
            pen.line((i * step, 0, i * step - self.size[1], self.size[1]), fill=190,
                     width=max(1, self.pen // 2))
        self.mask = ImageChops.lighter(self.mask, ImageChops.multiply(strokes, inside))
        self.draw = ImageDraw.Draw(self.mask)


def circle(sheet: Sheet) -> None:
    """A hatched circle."""
    points = [(0.3 * math.cos(t / 24 * math.tau), 0.3 * math.sin(t / 24 * math.tau))
              for t in range(24)]
    sheet.hatch(points)
    sheet.ring(0, 0, 0.3)


def polygon(sides: int, inner: float = 1.0) -> Callable[[Sheet], None]:
    """A hatched polygon or star."""

    def draw(sheet: Sheet) -> None:
        count = sides if inner == 1.0 else sides * 2
        points = []
        for i in range(count):
            radius = 0.34 * (inner if i % 2 and inner != 1.0 else 1.0)
            angle = -math.pi / 2 + i * math.tau / count
            points.append((radius * math.cos(angle), radius * math.sin(angle)))
        sheet.hatch(points)
        sheet.lines(points)

    return draw


def ring(sheet: Sheet) -> None:
    """A ring."""
    sheet.ring(0, 0, 0.32)
    sheet.ring(0, 0, 0.18)


def house(sheet: Sheet) -> None:
    """A house with a hatched roof."""
    roof = [(-0.3, -0.05), (0.3, -0.05), (0.0, -0.32)]
    sheet.hatch(roof)
    sheet.lines(roof)
    sheet.lines([(-0.22, -0.05), (0.22, -0.05), (0.22, 0.3), (-0.22, 0.3)])
    sheet.lines([(-0.05, 0.3), (-0.05, 0.12), (0.05, 0.12), (0.05, 0.3)], closed=False)
    sheet.lines([(-2, 0.3), (2, 0.3)], closed=False)


def boat(sheet: Sheet) -> None:
    """A sailing boat."""
    sail = [(-0.02, 0.08), (-0.02, -0.34), (0.24, 0.08)]
    sheet.hatch(sail)
    sheet.lines(sail)
    sheet.lines([(-0.3, 0.14), (0.3, 0.14), (0.18, 0.28), (-0.18, 0.28)])
    sheet.lines([(-2, 0.28), (2, 0.28)], closed=False)
    sheet.ring(-0.26, -0.28, 0.08)


def mountain(sheet: Sheet) -> None:
    """A mountain under the sun."""
    slope = [(-0.42, 0.28), (0.0, -0.26), (0.42, 0.28)]
    sheet.hatch(slope, 0.06)
    sheet.lines(slope)
    sheet.lines([(-2, 0.28), (2, 0.28)], closed=False)
    sheet.ring(0.3, -0.32, 0.09)


def tree(sheet: Sheet) -> None:
    """A tree on a line of ground."""
    for x, y, r in ((0, -0.2, 0.17), (-0.14, -0.06, 0.13), (0.14, -0.06, 0.13)):
        sheet.ring(x, y, r)
    sheet.lines([(-0.04, 0.3), (-0.04, 0.06), (0.04, 0.06), (0.04, 0.3)], closed=False)
    sheet.lines([(-2, 0.3), (2, 0.3)], closed=False)


def flower(sheet: Sheet) -> None:
    """A flower with six petals."""
    for i in range(6):
        angle = i * math.tau / 6
        sheet.ring(0.16 * math.cos(angle), -0.12 + 0.16 * math.sin(angle), 0.09)
    sheet.ring(0, -0.12, 0.07)
    sheet.lines([(0, 0.05), (0, 0.4)], closed=False)


def heart(sheet: Sheet) -> None:
    """A hatched heart."""
    points = []
    for i in range(40):
        t = i / 40 * math.tau
        x = 0.34 * math.sin(t) ** 3
        y = -0.3 * (0.95 * math.cos(t) - 0.36 * math.cos(2 * t) - 0.15 * math.cos(3 * t))
        points.append((x, y))
    sheet.hatch(points)
    sheet.lines(points)


SUBJECTS: tuple[tuple[str, str, Callable[[Sheet], None], tuple[int, int]], ...] = (
    ("01_circle", "a circle on a plain background", circle, (128, 128)),
    ("02_star", "a star on a plain background", polygon(5, 0.45), (160, 160)),
    ("03_house", "a house under the sun", house, (192, 128)),
    ("04_boat", "a boat on the sea under the sun", boat, (256, 160)),
    ("05_mountain", "a mountain under the sun", mountain, (224, 160)),
    ("06_tree", "a tree on a hill", tree, (128, 192)),
    ("07_flower", "a flower on a meadow", flower, (96, 160)),
    ("08_ring", "a ring on a plain background", ring, (144, 144)),
    ("09_heart", "a heart on a plain background", heart, (160, 128)),
    ("10_triangle", "a triangle on a plain background", polygon(3), (128, 160)),
    ("11_square", "a square on a plain background", polygon(4), (200, 200)),
    ("12_hexagon", "a hexagon on a plain background", polygon(6), (128, 96)),
)


def wash(width: int, height: int, random: Random) -> np.ndarray:
    """Uneven blue ground; (height, width, 3) in 0..255."""
    rng = np.random.default_rng(random.getrandbits(32))
    coarse = Image.fromarray((rng.random((5, 5)) * 255).astype(np.uint8))
    cloud = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
    shade = 0.85 + 0.3 * cloud / 255
    return np.clip(np.asarray(GROUND, dtype=np.float32) * shade[..., None], 0, 255)


def print_of(draw: Callable[[Sheet], None], width: int, height: int, random: Random) -> np.ndarray:
    """One cyanotype; (height, width, 3) uint8."""
    sheet = Sheet(width, height)
    draw(sheet)
    mask = sheet.mask.filter(ImageFilter.GaussianBlur(SCALE * 0.4))
    lines = np.asarray(mask.resize((width, height), Image.Resampling.LANCZOS), dtype=np.float32)
    share = (lines / 255)[..., None]
    mixed = wash(width, height, random) * (1 - share) + np.asarray(LINE, dtype=np.float32) * share
    return np.clip(mixed, 0, 255).astype(np.uint8)


def save_sideways(picture: Image.Image, path: Path) -> None:
    """A JPEG that lies on its side, with the tag that turns it upright (orientation 6)."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(path, "JPEG", quality=92, exif=exif)


def save_transparent(picture: Image.Image, path: Path) -> None:
    """A PNG whose corners are transparent; what is hidden there must never be trained on."""
    width, height = picture.size
    alpha = Image.new("L", picture.size, 0)
    ImageDraw.Draw(alpha).rounded_rectangle((0, 0, width - 1, height - 1), width // 8, fill=255)
    pixels = np.asarray(picture).copy()
    pixels[np.asarray(alpha) == 0] = HIDDEN
    Image.fromarray(np.dstack([pixels, np.asarray(alpha)]), "RGBA").save(path)


def main() -> None:
    """Write all pictures and their captions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo/style"))
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for index, (name, subject, draw, (width, height)) in enumerate(SUBJECTS):
        pixels = print_of(draw, width, height, Random(arguments.seed + index))
        picture = Image.fromarray(pixels)
        if name.startswith("06"):
            save_sideways(picture, arguments.out / f"{name}.jpg")
        elif name.startswith("11"):
            save_transparent(picture, arguments.out / f"{name}.png")
        else:
            picture.save(arguments.out / f"{name}.png")
        (arguments.out / f"{name}.txt").write_text(f"{TRIGGER}, {subject}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
