"""Aspect-ratio buckets: every picture keeps its shape, and hardly anything is cut off.

Pictures are resized to cover a size of about the same area and nearly the same shape, then cut
at the centre. A square crop would lose 29 % of an A4 page; this loses about 2 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from ..core.errors import ConfigError, DatasetError
from ..core.settings import setting, validate

MIN_STEPS = 4
"""No side of a bucket is shorter than this many steps, and no picture's either."""
MIN_RESOLUTION_STEPS = 8
"""With fewer, hardly any shape but the square would be left."""


FULL_RESOLUTION_PX = 768
"""From here on a model is trained about as it was made."""


@dataclass(frozen=True, kw_only=True)
class BucketSettings:
    """How pictures are brought to training sizes."""

    resolution_px: int = setting(
        1024,
        doc="Side of a square with the area that is trained at, in pixels. Other shapes get "
        "the same area: 1024 makes 832 x 1216 of a portrait. SDXL was trained at 1024.",
        minimum=128,
        maximum=4096,
        step=64,
    )
    step_px: int = setting(
        0,
        doc="Sides are multiples of this many pixels; a multiple of 16. 0 chooses 64 from a "
        "resolution of 768 on, 32 from 384 on, else 16. Smaller cuts less off, but makes more "
        "different sizes, which cannot share a batch.",
        minimum=0,
        maximum=128,
        step=16,
        advanced=True,
    )
    upscale: bool = setting(
        False,
        doc="Enlarge pictures that are smaller than the resolution. Off, they are trained at "
        "their own size, so the LoRA does not learn the blur of enlarged pictures.",
    )
    max_aspect: float = setting(
        4.0,
        doc="Longest allowed shape, long side by short side. Longer pictures are cut to it. "
        "SDXL was trained up to 4.",
        minimum=1.0,
        maximum=8.0,
        step=0.5,
        advanced=True,
    )

    def __post_init__(self) -> None:
        validate(self)
        if self.step_px % 16:
            raise ConfigError(
                f"step_px is {self.step_px}",
                expected="0 or a multiple of 16, which every model family can take",
                remedy="Set step_px to 0, 16, 32 or 64",
            )
        if self.resolution_px < MIN_RESOLUTION_STEPS * self.step:
            raise ConfigError(
                f"resolution_px is {self.resolution_px} with steps of {self.step} pixels",
                expected=f"a resolution of at least {MIN_RESOLUTION_STEPS} steps",
                remedy="Raise resolution_px or set step_px to 0",
            )

    @property
    def step(self) -> int:
        """The step in pixels, chosen from the resolution where it is left at 0."""
        return self.step_px or _step_for(self.resolution_px)

    @property
    def smallest_side_px(self) -> int:
        """Pictures with a shorter side are refused."""
        return self.step if self.upscale else MIN_STEPS * self.step


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


def place(
    width: int, height: int, settings: BucketSettings, *, name: str = "The picture"
) -> Placement:
    """Choose the bucket of a picture.

    The nearest shape by ``|log(aspect)|`` among sizes of about resolution² pixels. A picture that
    would have to be enlarged gets the largest size that fits into itself, in steps that suit
    that size.

    Args:
        width: of the picture, px.
        height: of the picture, px.
        settings: resolution and steps.
        name: what the picture is called in messages.

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
    area = settings.resolution_px**2
    sizes: Iterable[tuple[int, int]] = _sizes(area, settings.step, area, area, settings.max_aspect)
    bucket = _nearest(width, height, sizes)
    if max(bucket[0] / width, bucket[1] / height) > 1 and not settings.upscale:
        own = min(settings.resolution_px, math.isqrt(width * height))
        step = settings.step_px or _step_for(own)
        bucket = _nearest(width, height, _sizes(area, step, width, height, settings.max_aspect))
    return _cover(width, height, *bucket)


def _step_for(resolution_px: int) -> int:
    if resolution_px >= FULL_RESOLUTION_PX:
        return 64
    return 32 if resolution_px >= 384 else 16


@lru_cache(maxsize=1024)
def _sizes(
    area: int, step: int, widest: int, highest: int, max_aspect: float
) -> tuple[tuple[int, int], ...]:
    """Sizes of at most ``area``: for every side the longest other side that fits, both ways."""
    ways = [(w, h) for w, h in _longest_other(area, step, widest, highest)]
    ways += [(w, h) for h, w in _longest_other(area, step, highest, widest)]
    return tuple(sorted({s for s in ways if max(s) <= max_aspect * min(s)}))


def _longest_other(area: int, step: int, most: int, most_other: int) -> Iterable[tuple[int, int]]:
    shortest = MIN_STEPS * step
    for side in range(shortest, min(most, area // shortest) + 1, step):
        other = min(area // side, most_other) // step * step
        if other >= shortest:
            yield side, other


def _nearest(width: int, height: int, sizes: Iterable[tuple[int, int]]) -> tuple[int, int]:
    aspect = math.log(width / height)

    def distance(size: tuple[int, int]) -> tuple[float, float, int]:
        # Rounded, so that equally near shapes are told apart by crop and area, not by noise.
        apart = round(abs(math.log(size[0] / size[1]) - aspect), 9)
        return apart, _cover(width, height, *size).area_lost_fraction, -size[0] * size[1]

    return min(sizes, key=distance)


def _cover(width: int, height: int, bucket_w: int, bucket_h: int) -> Placement:
    scale = max(bucket_w / width, bucket_h / height)
    resized_w = max(bucket_w, round(width * scale))
    resized_h = max(bucket_h, round(height * scale))
    return Placement(
        bucket_w,
        bucket_h,
        resized_w,
        resized_h,
        crop_left=(resized_w - bucket_w) // 2,
        crop_top=(resized_h - bucket_h) // 2,
        area_lost_fraction=1 - bucket_w * bucket_h / (resized_w * resized_h),
    )
