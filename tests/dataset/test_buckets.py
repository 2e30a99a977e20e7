"""Shapes and what is cut off them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.core.errors import ConfigError, DatasetError
from lora_kiln.dataset.bucket_settings import BucketChoices, BucketSettings
from lora_kiln.dataset.buckets import AREA_WORTH, Placement, place

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
def test_no_other_bucket_costs_less(aspect: float, side: int) -> None:
    width, height = round(side * math.sqrt(aspect)) + 512, round(side / math.sqrt(aspect)) + 512

    def cost(w: int, h: int) -> float:
        kept = min(w / width, h / height) / max(w / width, h / height)
        return 1 - kept + AREA_WORTH * (1 - w * h / 1024**2)

    placed = place(width, height, ENLARGING)
    mine = cost(placed.bucket_w, placed.bucket_h)
    for w in range(256, 2049, 64):
        for h in range(256, 2049, 64):
            if 0.85 * 1024**2 <= w * h <= 1024**2 and max(w, h) <= 4 * min(w, h):
                assert mine <= cost(w, h) + 1e-6


@pytest.mark.parametrize(
    ("step", "mean", "most"), [(64, 0.015, 0.043), (32, 0.0065, 0.018), (16, 0.004, 0.008)]
)
def test_little_is_lost(step: int, mean: float, most: float) -> None:
    """The reference's list: 1:2 to 2:1 in even steps of the aspect's logarithm."""
    settings = BucketSettings(step_px=step)
    aspects = [2 ** (n / 200 - 1) for n in range(401)]
    placed = [place(round(4000 * a**0.5), round(4000 / a**0.5), settings) for a in aspects]
    lost = [p.area_lost_fraction for p in placed]
    assert sum(lost) / len(lost) < mean
    assert max(lost) < most
    areas = [p.bucket_w * p.bucket_h / 1024**2 for p in placed]
    assert min(areas) >= 0.85
    assert sum(areas) / len(areas) > 0.93


@pytest.mark.parametrize(
    ("name", "size", "sdxl", "z_image"),
    [
        ("3:2", (6000, 4000), 2.6, 0.1),
        ("16:9", (7680, 4320), 1.6, 0.4),
        ("A4", (4960, 7016), 2.2, 0.1),
        ("1:5", (2000, 10000), 20.0, 20.0),  # beyond max_aspect 4
    ],
)
def test_lost_of_known_shapes(
    name: str, size: tuple[int, int], sdxl: float, z_image: float
) -> None:
    for step, most in ((64, sdxl), (16, z_image)):
        lost = place(*size, BucketSettings(step_px=step), name=name).area_lost_fraction
        assert 100 * lost <= most + 0.01, (name, step)
    wide = BucketSettings(max_aspect=6)
    assert place(2000, 10000, wide).area_lost_fraction < 0.04


def test_every_size_that_sdxl_was_trained_at_is_there() -> None:
    """Appendix I of the SDXL paper, 1:1 to 4:1; its larger halves are these turned."""
    for width, heights in {
        512: (2048, 1984, 1920, 1856), 576: (1792, 1728, 1664), 640: (1600, 1536),
        704: (1472, 1408, 1344), 768: (1344, 1280), 832: (1216, 1152), 896: (1152, 1088),
        960: (1088, 1024), 1024: (1024,),
    }.items():  # fmt: skip
        for size in [s for h in heights for s in ((width, h), (h, width))]:
            placed = place(*size, DEFAULT)
            assert (placed.bucket_w, placed.bucket_h) == size


@given(
    st.integers(300, 5000), st.integers(300, 5000), st.floats(0, 1), st.floats(0, 1),
)
def test_a_focus_stays_in_the_picture(width: int, height: int, x: float, y: float) -> None:
    placed = place(width, height, DEFAULT, focus=(x, y))
    centred = place(width, height, DEFAULT)
    assert replace(placed, crop_left=centred.crop_left, crop_top=centred.crop_top) == centred
    for corner, bucket, resized, focus in (
        (placed.crop_left, placed.bucket_w, placed.resized_w, x),
        (placed.crop_top, placed.bucket_h, placed.resized_h, y),
    ):
        assert 0 <= corner <= resized - bucket
        assert corner - 1 <= focus * resized <= corner + bucket + 1


def test_sides_have_limits() -> None:
    narrow = BucketSettings(max_side_px=1280, min_side_px=768)
    for aspect in (0.2, 0.5, 1, 1.7, 4):
        placed = place(round(4000 * aspect**0.5), round(4000 / aspect**0.5), narrow)
        assert max(placed.bucket_w, placed.bucket_h) <= 1280
        assert min(placed.bucket_w, placed.bucket_h) >= 768
    with pytest.raises(ConfigError, match="max_side_px is 512"):
        BucketSettings(max_side_px=512)


def test_resolutions_of_a_training() -> None:
    choices = BucketChoices(more_resolutions="768, 512,768", max_aspect=3)
    at = choices.at(1024, 16)
    assert [(b.resolution_px, b.step, b.max_aspect) for b in at] == [
        (1024, 16, 3), (768, 16, 3), (512, 16, 3)
    ]
    assert [b.step for b in BucketChoices(step_px=64).at(1024, 16)] == [64]
    for wrong in ("768 px", "-1", "1 2 3 4 5 6 7 8 9"):
        with pytest.raises(ConfigError, match="more_resolutions"):
            BucketChoices(more_resolutions=wrong)
    with pytest.raises(ConfigError, match="resolution_px"):
        BucketChoices(more_resolutions="9").at(1024)


@pytest.mark.parametrize(
    ("size", "bucket"),
    [
        ((1024, 1024), (1024, 1024)),
        ((4000, 4000), (1024, 1024)),
        ((2480, 3508), (832, 1152)),  # A4 at 300 dpi
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
