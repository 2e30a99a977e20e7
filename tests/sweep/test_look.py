"""The figures that scores are made of, against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lora_kiln.core.dct import basis
from lora_kiln.sweep.copies import copy_likeness
from lora_kiln.sweep.descriptor import describe
from lora_kiln.sweep.lab import to_lab
from lora_kiln.sweep.look import look_at, pooled_colours
from lora_kiln.sweep.ssim import ssim
from lora_kiln.sweep.vectors import mean_pairwise, vendi
from lora_kiln.tests.sweep.score_cases import blobs


@pytest.mark.parametrize(
    ("rgb", "lab"),
    # Published values of the sRGB corners under D65, to one decimal.
    [
        ((255, 255, 255), (100.0, 0.0, 0.0)), ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((255, 0, 0), (53.2, 80.1, 67.2)), ((0, 255, 0), (87.7, -86.2, 83.2)),
        ((0, 0, 255), (32.3, 79.2, -107.9)), ((119, 119, 119), (50.0, 0.0, 0.0)),
    ],
)
def test_lab(rgb: tuple[int, int, int], lab: tuple[float, float, float]) -> None:
    assert to_lab(np.array(rgb, dtype=np.uint8)) == pytest.approx(lab, abs=0.07)


def test_ssim_equals_the_formula_written_with_convolutions() -> None:
    chance = np.random.default_rng(0)
    x = chance.random((40, 37))
    y = (x + chance.normal(0, 0.2, x.shape)).clip(0, 1)
    away = torch.arange(11, dtype=torch.float64) - 5
    bell = torch.exp(-(away**2) / 4.5)
    window = torch.outer(bell, bell)[None, None] / bell.sum() ** 2

    def mean(values: np.ndarray) -> torch.Tensor:
        return torch.nn.functional.conv2d(torch.from_numpy(values)[None, None], window)

    mx, my = mean(x), mean(y)
    vx, vy, both = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = 1e-4, 9e-4
    whole = ((2 * mx * my + c1) * (2 * both + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert ssim(x, y) == pytest.approx(float(whole.mean()), abs=1e-12)


def test_ssim_of_known_pictures() -> None:
    flat = np.full((16, 16), 0.25)
    assert ssim(flat, flat) == pytest.approx(1.0)
    # Without structure only the light counts: (2ab + c) / (a² + b² + c).
    expected = (2 * 0.25 * 0.75 + 1e-4) / (0.25**2 + 0.75**2 + 1e-4)
    assert ssim(flat, np.full((16, 16), 0.75)) == pytest.approx(expected)


def test_a_look_of_known_pictures() -> None:
    half = np.zeros((20, 40, 3), dtype=np.uint8)
    half[:, 20:] = 255
    look = look_at(Image.fromarray(half))
    assert look.clipped == 1.0
    assert look.contrast == pytest.approx(0.5)
    assert look.chroma == pytest.approx(0.0, abs=0.01)
    assert look.aspect == 2.0
    # One row of two columns beside the border has a Laplacian of ±1.
    assert look.detail == pytest.approx(2 / 38)
    grey = look_at(Image.new("RGB", (8, 8), (120, 120, 120)))
    assert (grey.clipped, grey.contrast, grey.detail) == (0.0, 0.0, 0.0)


def test_the_hash_is_of_size_and_pixels() -> None:
    one = look_at(blobs(1)).sha256
    assert one == look_at(blobs(1)).sha256
    assert len({one, look_at(blobs(2)).sha256, look_at(blobs(1).resize((48, 96))).sha256}) == 3


def test_a_large_picture_is_looked_at_at_the_size_of_the_cells() -> None:
    chance = np.random.default_rng(0)
    noisy = Image.fromarray(chance.integers(0, 256, (400, 400, 3), dtype=np.uint8))
    assert look_at(noisy, 100 * 100).detail < look_at(noisy).detail / 4


def test_pooled_colours_are_those_of_the_pictures_side_by_side() -> None:
    first, second = blobs(1), blobs(2)
    together = Image.new("RGB", (192, 96))
    together.paste(first, (0, 0))
    together.paste(second, (96, 0))
    pooled = pooled_colours([look_at(first), look_at(second)])
    assert np.abs(pooled - look_at(together).colours).mean() < 0.5
    assert np.array_equal(pooled_colours([look_at(first)]), look_at(first).colours)


def test_waves_of_a_window_are_those_of_the_cut_picture() -> None:
    values = np.random.default_rng(0).random(48).astype(np.float32)
    whole = basis(24, 8) @ values[12:36]
    assert basis(48, 8, 0.25, 0.75) @ values == pytest.approx(whole, abs=1e-5)
    # The waves are orthonormal: their squares add up to no more than the mean square.
    waves = basis(48, 48) @ values
    assert float(np.square(waves).sum()) <= float(np.square(values).mean()) + 1e-3


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_copy_likeness_is_at_most_one_and_one_for_itself(first: int, second: int) -> None:
    looks = [look_at(blobs(first, (48, 32))), look_at(blobs(second, (32, 40)))]
    found = copy_likeness(looks, looks)
    assert found.max() <= 1 + 1e-5
    assert np.diag(found) == pytest.approx([1.0, 1.0], abs=1e-5)


def test_the_descriptor_tells_colours_lines_and_layout_apart_by_degrees() -> None:
    def vector(picture: Image.Image) -> np.ndarray:
        return describe(to_lab(np.asarray(picture)))

    plain = vector(blobs(1))
    assert np.linalg.norm(plain) == pytest.approx(1.0)
    slight, strong = (vector(blobs(1, tint=(n, 0, 0))) for n in (12, 90))
    other = vector(blobs(2))
    assert 0.9 < plain @ slight < 1.0
    assert plain @ strong < plain @ slight
    assert plain @ other < plain @ slight


def test_sums_over_vectors() -> None:
    units = np.eye(4)
    assert mean_pairwise(units) == pytest.approx(0.0)
    assert vendi(units) == pytest.approx(4.0)
    same = np.tile(units[:1], (4, 1))
    assert mean_pairwise(same) == pytest.approx(1.0)
    assert vendi(same) == pytest.approx(1.0)
    mixed = np.array([[1, 0], [0.6, 0.8], [0, 1]])
    assert mean_pairwise(mixed) == pytest.approx((0.6 + 0.0 + 0.8) / 3)
