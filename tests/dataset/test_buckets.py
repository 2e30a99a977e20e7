"""Shapes and what is cut off them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.core.errors import ConfigError, DatasetError
from lora_kiln.dataset.buckets import BucketSettings, Placement, place

DEFAULT = BucketSettings()
ENLARGING = BucketSettings(upscale=True)

settings_of = st.builds(
    BucketSettings,
    resolution_px=st.integers(128, 1600),
    step_px=st.sampled_from([0, 16]),
    upscale=st.booleans(),
    max_aspect=st.floats(1.5, 8),
)


def check(width: int, height: int, settings: BucketSettings) -> Placement:
    placed = place(width, height, settings)
    step = settings.step_px or 16
    assert placed.bucket_w % step == 0
    assert placed.bucket_h % step == 0
    assert placed.bucket_w * placed.bucket_h <= settings.resolution_px**2
    assert placed.resized_w >= placed.bucket_w
    assert placed.resized_h >= placed.bucket_h
    assert placed.resized_w == placed.bucket_w or placed.resized_h == placed.bucket_h
    assert placed.crop_left == (placed.resized_w - placed.bucket_w) // 2
    assert placed.crop_top == (placed.resized_h - placed.bucket_h) // 2
    kept = placed.bucket_w * placed.bucket_h / (placed.resized_w * placed.resized_h)
    assert placed.area_lost_fraction == pytest.approx(1 - kept)
    longest = max(placed.bucket_w, placed.bucket_h) / min(placed.bucket_w, placed.bucket_h)
    assert longest <= settings.max_aspect
    if not settings.upscale:
        assert placed.resized_w <= width
        assert placed.resized_h <= height
    return placed


@given(st.integers(16, 6000), st.integers(16, 6000), settings_of)
def test_every_placement_is_sound(width: int, height: int, settings: BucketSettings) -> None:
    if min(width, height) < settings.smallest_side_px:
        with pytest.raises(DatasetError, match=f"is {width} x {height} pixels"):
            place(width, height, settings)
        return
    check(width, height, settings)


@given(st.integers(256, 5000), st.integers(256, 5000))
def test_turning_a_picture_turns_its_bucket(width: int, height: int) -> None:
    upright, lying = place(width, height, DEFAULT), place(height, width, DEFAULT)
    assert (upright.bucket_w, upright.bucket_h) == (lying.bucket_h, lying.bucket_w)
    assert upright.area_lost_fraction == pytest.approx(lying.area_lost_fraction)


@given(st.floats(0.3, 3.3), st.integers(1024, 4000))
def test_no_other_bucket_is_nearer(aspect: float, side: int) -> None:
    width, height = round(side * math.sqrt(aspect)) + 512, round(side / math.sqrt(aspect)) + 512
    placed = place(width, height, ENLARGING)
    mine = abs(math.log(placed.bucket_w / placed.bucket_h * height / width))
    for w in range(256, 2049, 64):
        h = 1024 * 1024 // w // 64 * 64
        assert mine <= abs(math.log(w / h * height / width)) + 1e-6


def test_less_than_four_percent_is_lost_on_average() -> None:
    aspects = [2 ** (n / 200 - 1) for n in range(401)]
    placed = [place(round(4000 * a**0.5), round(4000 / a**0.5), DEFAULT) for a in aspects]
    lost = [p.area_lost_fraction for p in placed]
    assert sum(lost) / len(lost) < 0.04
    assert max(lost) < 0.07
    areas = [p.bucket_w * p.bucket_h / 1024**2 for p in placed]
    assert min(areas) > 0.93


@pytest.mark.parametrize(
    ("size", "bucket"),
    [
        ((1024, 1024), (1024, 1024)),
        ((4000, 4000), (1024, 1024)),
        ((2480, 3508), (832, 1216)),  # A4 at 300 dpi
        ((1920, 1080), (1344, 768)),
        ((3000, 2000), (1216, 832)),
        ((9000, 1500), (2048, 512)),
        ((1000, 1000), (960, 960)),  # smaller than the resolution: its own size
        ((1023, 700), (960, 640)),
        ((319, 256), (304, 240)),  # far smaller: finer steps, so that it is not made square
    ],
)
def test_known_sizes(size: tuple[int, int], bucket: tuple[int, int]) -> None:
    placed = check(*size, DEFAULT)
    assert (placed.bucket_w, placed.bucket_h) == bucket


def test_a_small_picture_is_enlarged_only_when_asked() -> None:
    placed = place(300, 450, ENLARGING)
    assert (placed.bucket_w, placed.bucket_h) == (832, 1216)
    own = place(300, 450, DEFAULT)
    assert (own.bucket_w, own.bucket_h, own.area_lost_fraction) == (288, 432, 0)


def test_the_step_follows_the_resolution() -> None:
    steps = {r: BucketSettings(resolution_px=r).step for r in (128, 383, 384, 767, 768, 2048)}
    assert steps == {128: 16, 383: 16, 384: 32, 767: 32, 768: 64, 2048: 64}
    assert BucketSettings(step_px=16).step == 16


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"resolution_px": 64}, "resolution_px is 64"),
        ({"step_px": 8}, "step_px is 8.*multiple of 16"),
        ({"resolution_px": 256, "step_px": 64}, "steps of 64"),
        ({"max_aspect": 0.5}, "max_aspect"),
        ({"max_aspect": float("nan")}, "max_aspect"),
    ],
)
def test_settings_out_of_range(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BucketSettings(**values)


def test_a_picture_too_small_is_named() -> None:
    with pytest.raises(DatasetError, match=r"thumb\.png is 200 x 900.*shorter than 256"):
        place(200, 900, DEFAULT, name="thumb.png")
