"""What scores remember of a picture: figures of a few kilobytes, so that a sweep of any size fits.

A picture is looked at once and then let go. All figures are taken at one size, at most
512 x 512 pixels and never larger than the sweep's own cells: a training picture of 12 megapixels
would otherwise be sharper than anything that can be drawn.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .descriptor import describe
from .lab import to_lab

MOST_AREA_PX = 512 * 512
QUANTILES = 64
SMALL_PX = 48


@dataclass(frozen=True, eq=False)
class Look:
    """One picture in figures.

    Attributes:
        sha256: of its size and pixels, 64 hex digits.
        aspect: width / height.
        clipped: share of pixels with a channel at 0 or 255.
        chroma: mean distance from grey in a*b*.
        contrast: RMS contrast, the standard deviation of L* / 100.
        detail: mean square of the Laplacian of L* / 100.
        colours: (3, 64) quantile functions of L*, a* and b*.
        small: (48, 48, 3) L*a*b* of the whole picture, stretched to a square.
        square: the same of the largest square in the middle; of a square picture it is ``small``.
        descriptor: (D,) see :mod:`.descriptor`.
    """

    sha256: str
    aspect: float
    clipped: float
    chroma: float
    contrast: float
    detail: float
    colours: np.ndarray
    small: np.ndarray
    square: np.ndarray
    descriptor: np.ndarray


def look_at(picture: Image.Image, area_px: int = MOST_AREA_PX) -> Look:
    """Take the figures of an RGB picture.

    Args:
        picture: mode RGB.
        area_px: a larger picture is first reduced to this many pixels.
    """
    full = np.asarray(picture, dtype=np.uint8)
    reduced = np.asarray(_reduced(picture, min(area_px, MOST_AREA_PX)), dtype=np.uint8)
    lab, small = to_lab(reduced), _small(picture)
    lightness = lab[..., 0] / 100
    return Look(
        sha256=_hash(full),
        aspect=picture.width / picture.height,
        clipped=float(((reduced == 0) | (reduced == 255)).any(-1).mean()),
        chroma=float(np.hypot(lab[..., 1], lab[..., 2]).mean()),
        contrast=float(lightness.std()),
        detail=_laplacian_energy(lightness),
        colours=quantile_functions(lab),
        small=small,
        square=small if picture.width == picture.height else _small(_middle(picture)),
        descriptor=describe(lab),
    )


def quantile_functions(lab: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (3, 64): each channel's values at 64 evenly spaced ranks."""
    ranks = (np.arange(QUANTILES) + 0.5) / QUANTILES
    # Hazen's rule: the k-th of n values stands at rank (k - 1/2) / n. Pooling one is then itself.
    found = np.quantile(lab.reshape(-1, 3), ranks, axis=0, method="hazen")
    return found.T.astype(np.float32)


def pooled_colours(looks: Sequence[Look]) -> np.ndarray:
    """(3, 64): the colours of all pictures laid side by side, each counting alike."""
    together = np.concatenate([look.colours for look in looks], axis=1)
    ranks = (np.arange(QUANTILES) + 0.5) / QUANTILES
    return np.quantile(together, ranks, axis=1, method="hazen").T.astype(np.float32)


def _reduced(picture: Image.Image, area_px: int) -> Image.Image:
    scale = math.sqrt(area_px / (picture.width * picture.height))
    if scale >= 1:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BOX)


def _small(picture: Image.Image) -> np.ndarray:
    small = picture.resize((SMALL_PX, SMALL_PX), Image.Resampling.BOX)
    return to_lab(np.asarray(small, dtype=np.uint8))


def _middle(picture: Image.Image) -> Image.Image:
    """The largest square, in which pictures of other shapes are often drawn again."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def _laplacian_energy(values: np.ndarray) -> float:
    """Mean square of the 5-point Laplacian inside the border; 0 where there is no inside."""
    if min(values.shape) < 3:
        return 0.0
    inner = values[1:-1, 1:-1]
    around = values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:]
    return float(np.square(around - 4 * inner).mean())


def _hash(pixels: np.ndarray) -> str:
    content = hashlib.sha256(repr(pixels.shape).encode("ascii"))
    content.update(np.ascontiguousarray(pixels).data)
    return content.hexdigest()
