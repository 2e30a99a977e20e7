"""Aspect-ratio buckets: every picture keeps its shape, and hardly anything is cut off.

Pictures are resized to cover a size of about the same area and nearly the same shape, then cut
at the centre, or around a point that the person named. A square crop would lose 29 % of an A4
page; this loses 2 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ..core.errors import DatasetError
from .bucket_settings import MIN_STEPS, BucketSettings, usual_step

SMALLEST_AREA_FRACTION = 0.85
"""Buckets may be this much smaller than the resolution's square, as those are that SDXL was
trained on. With a step of 64 that halves what is cut off: 1.4 % for shapes from 1:2 to 2:1."""
AREA_WORTH = 0.1
"""A bucket that is smaller by a tenth must save a hundredth of the picture. Without this, shapes
would be smaller, and there would be more of them, for hardly anything."""


@dataclass(frozen=True)
class Placement:
    """How a picture is brought into its bucket: resized to cover it, then cut. All in pixels.

    Width and height are resized each to a whole number, so their scales may differ by a hair: no
    point lands more than half a pixel from where one common scale would put it.
    ``area_lost_fraction`` is the part of the picture's area that is cut off, 0..1.
    """

    bucket_w: int
    bucket_h: int
    resized_w: int
    resized_h: int
    crop_left: int
    crop_top: int
    area_lost_fraction: float

    def mirrored(self) -> Placement:
        """Where the same cut lies in the resized picture after it was mirrored left to right."""
        return replace(self, crop_left=self.resized_w - self.bucket_w - self.crop_left)


Focus = tuple[float, float]
"""A point of a picture that shall stay in it: from the left and from the top, each 0..1."""
CENTRE: Focus = (0.5, 0.5)


def place(
    width: int,
    height: int,
    settings: BucketSettings,
    *,
    name: str = "The picture",
    focus: Focus = CENTRE,
) -> Placement:
    """Choose the bucket of a picture.

    Among sizes of about resolution² pixels the one that costs least: the part of the picture that
    is cut off, and a little for an area smaller than it could be (:data:`AREA_WORTH`). What is cut
    off is ``1 - exp(-|ln aspect - ln bucket's aspect|)``. A picture that would have to be enlarged
    gets a size that fits into itself, in steps that suit that size.

    Args:
        width: of the picture, px.
        height: of the picture, px.
        settings: resolution and steps.
        name: what the picture is called in messages.
        focus: what the cut is laid around, as far as the picture's borders allow.

    Raises:
        DatasetError: a side is too short to be trained on.
    """
    if min(width, height) < settings.smallest_side_px:
        raise DatasetError(
            f"{name} is {width} x {height} pixels",
            expected=f"no side shorter than {settings.smallest_side_px} pixels at a resolution "
            f"of {settings.resolution_px}",
            remedy="Take it out, find a larger version, or lower the resolution",
        )
    return _cover(width, height, *_bucket(width, height, settings), focus)


@lru_cache(maxsize=65536)
def _bucket(width: int, height: int, settings: BucketSettings) -> tuple[int, int]:
    """The bucket's width and height for a picture of this size."""
    area = settings.resolution_px**2
    bucket = _cheapest(width, height, area, _sizes(settings, settings.step))
    if max(bucket[0] / width, bucket[1] / height) <= 1 or settings.upscale:
        return bucket
    own_px = min(settings.resolution_px, math.isqrt(width * height))
    step = settings.step_px or usual_step(own_px)
    own = replace(settings, min_side_px=0)
    sizes = _sizes_within(own, step, width, height)
    return _cheapest(width, height, min(area, width * height), sizes)


def _sizes(settings: BucketSettings, step: int) -> np.ndarray:
    """Sizes of about the resolution's area, (n, 2) int64: width and height."""
    smallest = SMALLEST_AREA_FRACTION * settings.resolution_px**2
    sizes = _all_sizes(settings, step)
    large = sizes[sizes.prod(axis=1) >= smallest]
    # Narrow limits of sides can leave none as large as that: then the largest there are.
    return large if len(large) else sizes[sizes.prod(axis=1) == sizes.prod(axis=1).max()]


def _sizes_within(settings: BucketSettings, step: int, width: int, height: int) -> np.ndarray:
    """Sizes that a small picture covers without being enlarged."""
    sizes = _all_sizes(settings, step)
    return sizes[(sizes[:, 0] <= width) & (sizes[:, 1] <= height)]


@lru_cache(maxsize=64)
def _all_sizes(settings: BucketSettings, step: int) -> np.ndarray:
    """Every allowed size of at most resolution² pixels, sorted by width and height."""
    area, shortest = settings.resolution_px**2, MIN_STEPS * step
    lowest = max(shortest, -(-settings.min_side_px // step) * step)
    longest = min(area // shortest, math.isqrt(int(area * settings.max_aspect)) + 1)
    highest = min(longest, settings.max_side_px or longest) // step * step
    sides = np.arange(lowest, highest + 1, step, dtype=np.int64)
    widths, heights = np.meshgrid(sides, sides, indexing="ij")
    longer, shorter = np.maximum(widths, heights), np.minimum(widths, heights)
    allowed = (widths * heights <= area) & (longer <= settings.max_aspect * shorter)
    return np.stack([widths[allowed], heights[allowed]], axis=1)


def _cheapest(width: int, height: int, area: int, sizes: np.ndarray) -> tuple[int, int]:
    apart = np.abs(np.log(sizes[:, 0] / sizes[:, 1]) - math.log(width / height))
    areas = sizes.prod(axis=1)
    cost = 1 - np.exp(-apart) + AREA_WORTH * (1 - areas / area)
    # Rounded, so that equally good sizes are told apart by their area, not by noise.
    best = np.lexsort((sizes[:, 0], -areas, cost.round(9)))[0]
    return int(sizes[best, 0]), int(sizes[best, 1])


def _cover(width: int, height: int, bucket_w: int, bucket_h: int, focus: Focus) -> Placement:
    scale = max(bucket_w / width, bucket_h / height)
    resized_w = max(bucket_w, round(width * scale))
    resized_h = max(bucket_h, round(height * scale))
    return Placement(
        bucket_w,
        bucket_h,
        resized_w,
        resized_h,
        crop_left=_corner(resized_w, bucket_w, focus[0]),
        crop_top=_corner(resized_h, bucket_h, focus[1]),
        area_lost_fraction=1 - bucket_w * bucket_h / (resized_w * resized_h),
    )


def _corner(resized: int, bucket: int, focus: float) -> int:
    """Where the cut begins, so that the focus is in its middle or as near to it as can be."""
    if focus == 0.5:
        return (resized - bucket) // 2
    return min(max(round(focus * resized - bucket / 2), 0), resized - bucket)
