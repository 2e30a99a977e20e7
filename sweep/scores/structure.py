"""How much of the base picture's structure is left (SSIM, Wang et al. 2004, at three sizes)."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..score import BASE, Score, Scored, ScoreInput
from ..ssim import WINDOW, ssim

SIDES_PX = (256, 128, 64)
"""Longer sides at which pictures are compared: from drawing to composition."""


def compute(given: ScoreInput) -> Scored:
    """Mean SSIM of the lightness over the sizes; each size beside it."""
    values: dict[int, float] = {}
    details: dict[str, dict[int, float]] = {}
    # Cells with one base stand together, so that it is read once.
    last: int | None = None
    alone: dict[int, np.ndarray] = {}
    for index, base in sorted(given.bases.items(), key=lambda pair: pair[1]):
        if base != last:
            last, alone = base, _by_side(given.pictures[base])
        own = alone if index == base else _by_side(given.pictures[index])
        found = {side: ssim(own[side], alone[side]) for side in own}
        if found:
            values[index] = float(np.mean(list(found.values())))
        for side, value in found.items():
            details.setdefault(f"{side}px", {})[index] = value
    return Scored(values, details)


def _by_side(picture: Image.Image) -> dict[int, np.ndarray]:
    """Lightness in 0..1 by longer side, no side longer than the picture's own."""
    grey, found = picture.convert("L"), {}
    for side in dict.fromkeys(min(side, max(grey.size)) for side in SIDES_PX):
        scale = side / max(grey.size)
        size = (round(grey.width * scale), round(grey.height * scale))
        if min(size) >= WINDOW:
            small = grey.resize(size, Image.Resampling.BOX)
            found[side] = np.asarray(small, dtype=np.float32) / 255
    return found


SCORE = Score(
    name="structure",
    title="Structure kept",
    doc="How much of the composition at strength 0 is still there: structural similarity (SSIM) "
    "of the lightness at 256, 128 and 64 pixels, averaged. 1 is the same picture, 0 nothing.",
    caveat="It sees where things are, not what they are: a character that turns its head loses "
    "structure and may be just what was wanted. A style should keep more than a subject.",
    better="higher",
    needs=frozenset({BASE}),
    compute=compute,
)
