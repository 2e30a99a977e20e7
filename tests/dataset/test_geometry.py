"""What SDXL is told of a picture is where things really are: markers are drawn and found again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lora_kiln.core.protocols import ImageGeometry
from lora_kiln.core.store import TensorStore
from lora_kiln.dataset.bucket_settings import BucketSettings
from lora_kiln.dataset.buckets import Placement, place
from lora_kiln.dataset.items import Dataset, DatasetItem, PictureArray, PictureFile, PictureSource
from lora_kiln.dataset.latents import View
from lora_kiln.dataset.prepare import prepare

CASES = 200
TOLERANCE_PX = 1.5
Spots = list[tuple[float, float]]


@dataclass
class Case:
    """A picture with one disc in each colour channel."""

    width: int
    height: int
    orientation: int
    settings: BucketSettings
    spots: Spots
    radius: float


def cases() -> Iterator[Case]:
    """Sizes of every kind: odd, very long, smaller than the bucket, turned by EXIF."""
    chance = np.random.default_rng(4)
    for number in range(CASES):
        settings = BucketSettings(
            resolution_px=int(chance.integers(128, 400)),
            step_px=int(chance.choice([0, 16])),
            upscale=bool(number % 3 == 0),
        )
        shortest = settings.smallest_side_px
        short = int(chance.integers(shortest, 3 * shortest))
        aspect = float(chance.choice([1, 1.3, 1.7, 2.9, 7])) * chance.uniform(1, 1.2)
        sides = short, round(short * aspect)
        width, height = sides if chance.integers(2) else sides[::-1]
        middle, reach = np.array([width, height]) / 2, 0.3 * short
        near = middle + chance.uniform(-reach, reach, 2)
        anywhere = chance.uniform(0, 1, (2, 2)) * [width, height]
        spots = [(float(x), float(y)) for x, y in (near, *anywhere)]
        orientation = int(chance.integers(1, 9)) if number % 2 else 1
        yield Case(width, height, orientation, settings, spots, radius=short / 12)


def draw(case: Case) -> np.ndarray:
    """(H, W, 3): discs with soft borders, one per channel, on black."""
    x, y = np.meshgrid(np.arange(case.width) + 0.5, np.arange(case.height) + 0.5)
    planes = [np.clip(case.radius - np.hypot(x - a, y - b) + 0.5, 0, 1) for a, b in case.spots]
    return np.round(255 * np.stack(planes, axis=-1)).astype(np.uint8)


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """How a camera stores an upright picture under an orientation; EXIF 2.32, tag 274."""
    ways = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }
    return np.ascontiguousarray(ways[orientation])


def source_of(case: Case, folder: Path) -> PictureSource:
    exif = Image.Exif()
    exif[0x0112] = case.orientation
    path = folder / "marked.png"
    Image.fromarray(stored(draw(case), case.orientation)).save(path, exif=exif, compress_level=1)
    return PictureFile(path, path.name)


def told(case: Case, spot: tuple[float, float], sizes: ImageGeometry, mirrored: bool) -> Any:
    """Where the six numbers say that a spot of the upright picture is."""
    width, height = sizes.original_width_px, sizes.original_height_px
    scale = max(sizes.target_width_px / width, sizes.target_height_px / height)
    x = width - spot[0] if mirrored else spot[0]
    return np.array([x * scale - sizes.crop_left_px, spot[1] * scale - sizes.crop_top_px]), scale


def found(plane: np.ndarray) -> np.ndarray:
    """The middle of what is bright."""
    weight = np.where(plane > 0.2, plane, 0)
    x, y = np.meshgrid(np.arange(plane.shape[1]) + 0.5, np.arange(plane.shape[0]) + 0.5)
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


class SeeingVae:
    """Remembers the pixels that it is given."""

    identity, downscale = "seeing", 8

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        self.seen.append(pixels[0].numpy())
        return torch.nn.functional.avg_pool2d(pixels.movedim(-1, 1), 8)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


def test_markers_are_where_the_geometry_says(tmp_path: Path, fakes: Any) -> None:
    errors, outside, enlarged, small, turned = [], 0, 0, 0, 0
    for number, case in enumerate(cases()):
        source, vae = source_of(case, tmp_path), SeeingVae()
        item = prepare(
            Dataset((DatasetItem("m", source, "x"),), "set"),
            buckets=case.settings,
            vae=vae,
            text=fakes.Text(),
            store=TensorStore(tmp_path / f"{number}"),
            progress=fakes.Progress(),
            mirror=True,
        ).items[0]
        assert item.mirrored is not None
        for view, pixels in zip((item, item.mirrored), vae.seen, strict=True):
            sizes = view.geometry
            assert (sizes.original_width_px, sizes.original_height_px) == (case.width, case.height)
            assert pixels.shape == (sizes.target_height_px, sizes.target_width_px, 3)
            for channel, spot in enumerate(case.spots):
                place_px, scale = told(case, spot, sizes, view is item.mirrored)
                reach = case.radius * scale + 4
                # To the nearest border, negative outside.
                inside = min(place_px.min(), (np.array(pixels.shape[1::-1]) - place_px).min())
                if inside > reach:
                    errors.append(np.abs(found(pixels[..., channel]) - place_px).max())
                elif inside < -reach:
                    assert pixels[..., channel].max() < 0.1
                    outside += 1
        enlarged += scale > 1
        small += sizes.target_width_px * sizes.target_height_px < 0.5 * (
            case.settings.resolution_px**2
        )
        turned += case.orientation > 4
    assert max(errors) < TOLERANCE_PX
    # Rounding the resized sides to whole pixels explains at most half a pixel.
    assert max(errors) < 0.75
    assert len(errors) > 3 * CASES
    assert min(outside, enlarged, small, turned) > 10


def test_a_cut_that_is_not_in_the_middle_is_mirrored_with_its_corner() -> None:
    """None is made today; a focus point would make them."""
    pixels = np.zeros((40, 100, 3), dtype=np.uint8)
    pixels[10:20, 30:35] = 255
    item = DatasetItem("a", PictureArray("a", pixels))
    view = View(item, 100, 40, Placement(64, 32, 100, 40, crop_left=7, crop_top=3,
                                         area_lost_fraction=0.488))
    mirrored = view.mirrored()
    assert mirrored.geometry.crop_left_px == 100 - 64 - 7
    assert mirrored.geometry.crop_top_px == 3
    assert mirrored.mirrored() == view
    picture = Image.fromarray(pixels)
    seen = np.asarray(view.transform(picture)), np.asarray(mirrored.transform(picture))
    assert np.array_equal(seen[0][:, ::-1], seen[1])
    assert seen[0][7:17, 23:28].min() == 255


@given(st.integers(16, 6000), st.integers(16, 6000), st.integers(128, 1600), st.booleans())
def test_width_and_height_are_scaled_alike(
    width: int, height: int, resolution: int, upscale: bool
) -> None:
    """No point of the picture is moved by a whole pixel because its sides were rounded."""
    settings = BucketSettings(resolution_px=resolution, upscale=upscale)
    if min(width, height) < settings.smallest_side_px:
        return
    placed = place(width, height, settings)
    scale = max(placed.bucket_w / width, placed.bucket_h / height)
    assert abs(placed.resized_w - width * scale) <= 0.5 + 1e-6
    assert abs(placed.resized_h - height * scale) <= 0.5 + 1e-6
    assert placed.mirrored().mirrored() == placed
    assert 0 <= placed.mirrored().crop_left <= placed.resized_w - placed.bucket_w


@pytest.mark.parametrize("size", [(161, 129), (700, 100), (97, 333)])
def test_the_mirrored_picture_is_the_mirror_image(
    size: tuple[int, int], tmp_path: Path, fakes: Any
) -> None:
    """Of exactly the same cut: resampling is symmetric to rounding."""
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    vae = SeeingVae()
    prepare(
        Dataset((DatasetItem("a", PictureArray("a", pixels), "x"),), "set"),
        buckets=BucketSettings(resolution_px=128),
        vae=vae,
        text=fakes.Text(),
        store=TensorStore(tmp_path),
        progress=fakes.Progress(),
        mirror=True,
    )
    straight, mirrored = vae.seen
    assert np.abs(straight[:, ::-1] - mirrored).max() <= 1.01 / 255
