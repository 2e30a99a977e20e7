"""From a mask to the share of every latent cell that is trained on; and mirrored pictures."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lora_kiln.core.errors import DatasetError
from lora_kiln.core.store import TensorStore
from lora_kiln.dataset.bucket_settings import BucketSettings
from lora_kiln.dataset.decode import Decoded
from lora_kiln.dataset.items import (
    Dataset,
    DatasetItem,
    PictureAlpha,
    PictureArray,
    PictureFile,
    PictureSource,
)
from lora_kiln.dataset.masks import decode_mask, inspect_mask, mask_cells
from lora_kiln.dataset.prepare import TrainingSet, prepare
from lora_kiln.dataset.scan import scan_folder

Prepare = Callable[..., TrainingSet]


@pytest.fixture
def vae(fakes: Any) -> Any:
    return fakes.Vae()


@pytest.fixture
def ready(tmp_path: Path, fakes: Any, vae: Any) -> Prepare:
    """Prepares a dataset; keeps one store."""

    def run(dataset: Dataset, mirror: bool = False, resolution_px: int = 128) -> TrainingSet:
        return prepare(
            dataset,
            buckets=BucketSettings(resolution_px=resolution_px),
            vae=vae,
            text=fakes.Text(),
            store=TensorStore(tmp_path / "cache"),
            progress=fakes.Progress(),
            mirror=mirror,
        )

    return run


def one(width: int, height: int, mask: np.ndarray | PictureSource | None) -> Dataset:
    """A dataset of one random picture."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if isinstance(mask, np.ndarray):
        mask = PictureArray("m", np.repeat(mask.astype(np.uint8)[..., None], 3, axis=-1))
    return Dataset((DatasetItem("a", PictureArray("a", pixels), "x", mask=mask),), "set")


def columns(width: int, height: int, start: int, end: int) -> np.ndarray:
    """White from column ``start`` to ``end``."""
    mask = np.zeros((height, width))
    mask[:, start:end] = 255
    return mask


def test_a_half_covered_cell_is_a_half(ready: Prepare) -> None:
    mask = ready(one(128, 128, columns(128, 128, 36, 80))).items[0].mask
    assert mask is not None
    assert (mask.shape, mask.dtype, mask.device.type) == ((1, 16, 16), torch.float32, "cpu")
    row = [0.0] * 4 + [0.5] + [1.0] * 5 + [0.0] * 6
    assert torch.equal(mask, torch.tensor(row).expand(1, 16, 16))


def test_a_mask_is_resized_and_cut_as_its_picture(ready: Prepare) -> None:
    """The picture is its own mask in grey: its latent, which averages cells, must show it too."""
    pixels = np.zeros((272, 544, 3), dtype=np.uint8)
    pixels[100:171, 90:301] = 255
    picture = PictureArray("a", pixels)
    dataset = Dataset((DatasetItem("a", picture, "x", mask=picture),), "set")
    for view in (lambda item: item, lambda item: item.mirrored):
        item = view(ready(dataset, mirror=True).items[0])
        # Not equal: a picture is resized with Lanczos, which rings beside borders.
        assert item.mask.shape[1:] == item.latent.shape[1:]
        assert (item.mask[0] - item.latent[0]).abs().max() < 0.1
        assert item.mask.min() == 0
        assert item.mask.max() == 1


def test_a_masks_border_lets_nothing_through(ready: Prepare) -> None:
    """Lanczos would leave a faint copy of the border beside it."""
    mask = ready(one(512, 512, columns(512, 512, 0, 256))).items[0].mask
    assert mask is not None
    assert set(mask.unique().tolist()) == {0.0, 1.0}


def test_without_masks_everything_is_as_before(ready: Prepare) -> None:
    source = PictureArray("a", np.full((128, 128, 3), 7, dtype=np.uint8))
    dataset = Dataset((DatasetItem("a", source, "x"),), "set")
    plain = ready(dataset)
    assert plain.items[0].mask is None
    assert plain.items[0].mirrored is None
    # As they were before there were masks and mirrored pictures: finished runs are found again.
    assert plain.fingerprint.startswith("4326b2f8629cf8d0289ac2f20020661f5315385decf74b0e")
    assert dataset.fingerprint.startswith("17644b56ef8906240d11e382973f7b2102b9c6e22ccc16b6")


def test_every_ingredient_of_a_mask_is_in_the_fingerprint(ready: Prepare) -> None:
    first = one(160, 128, columns(160, 128, 0, 80))
    prints = [
        ready(one(160, 128, None)).fingerprint,
        ready(first).fingerprint,
        ready(one(160, 128, columns(160, 128, 0, 81))).fingerprint,
        ready(first, resolution_px=144).fingerprint,
        ready(one(160, 128, None), mirror=True).fingerprint,
        ready(first, mirror=True).fingerprint,
    ]
    assert len(set(prints)) == len(prints)
    assert ready(first).fingerprint == prints[1]


def test_a_mirrored_picture_has_everything_of_its_own(ready: Prepare, vae: Any) -> None:
    # Resized to 129 x 128 and cut to 128: one column is left over, on the right.
    dataset = one(161, 160, columns(161, 160, 0, 64))
    item = ready(dataset, mirror=True).items[0]
    other = item.mirrored
    assert other is not None
    assert vae.calls == 2
    assert (item.geometry.target_width_px, item.geometry.target_height_px) == (128, 128)
    assert (item.geometry.crop_left_px, other.geometry.crop_left_px) == (0, 1)
    assert dataclasses.replace(other.geometry, crop_left_px=0) == item.geometry
    assert (other.name, other.caption, other.weight) == (item.name, item.caption, item.weight)
    assert other.embedding is item.embedding
    assert other.mirrored is None
    assert item.mask is not None
    assert other.mask is not None
    assert torch.allclose(item.mask.flip(-1), other.mask, atol=0.02)
    assert item.mask[0, 0, 0] == 1 == other.mask[0, 0, -1]
    assert torch.allclose(item.latent.flip(-1), other.latent, atol=0.01)
    assert not torch.equal(item.latent, other.latent)
    again = ready(dataset, mirror=True).items[0]
    assert vae.calls == 2
    assert again.mirrored is not None
    assert torch.equal(again.mirrored.latent, other.latent)
    assert again.mirrored.mask is not None
    assert torch.equal(again.mirrored.mask, other.mask)
    # What one run has encoded, a run without mirroring finds.
    assert torch.equal(ready(dataset).items[0].latent, item.latent)
    assert vae.calls == 2


def test_a_picture_is_decoded_once_for_both_views(
    ready: Prepare, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_kiln.dataset import latents

    real, calls = latents.decode_bytes, []

    def counting(data: bytes, name: str, background: str) -> Decoded:
        calls.append(name)
        return real(data, name, background)

    monkeypatch.setattr(latents, "decode_bytes", counting)
    dataset = scan_folder(folder, name="x")
    ready(dataset, mirror=True)
    assert len(calls) == 3
    ready(dataset, mirror=True)
    assert len(calls) == 3


def test_a_mask_of_which_nothing_is_left(ready: Prepare) -> None:
    with pytest.raises(DatasetError, match=r"the mask m lets through .* cutting a to 256 x 64"):
        ready(one(1200, 100, columns(1200, 100, 0, 20)))


def test_masks_that_no_scan_has_seen_are_checked_too(ready: Prepare) -> None:
    with pytest.raises(DatasetError, match="m is 100 x 128 pixels, and its picture a is 128 x 128"):
        ready(one(128, 128, columns(100, 128, 0, 20)))
    with pytest.raises(DatasetError, match="m is black everywhere"):
        ready(one(128, 128, columns(128, 128, 0, 0)))
    with pytest.raises(TypeError):
        decode_mask(object())  # type: ignore[arg-type]


def test_a_mask_changed_after_the_scan_poisons_no_cache(
    ready: Prepare, folder: Path, tmp_path: Path
) -> None:
    mask = folder / "a2-masklabel.png"
    Image.new("L", (160, 128), 255).save(mask)
    dataset = scan_folder(folder, name="x", masks="files")
    Image.new("L", (160, 128), 100).save(mask)
    with pytest.raises(DatasetError, match=r"a2-masklabel\.png has changed.*Queue the graph again"):
        ready(dataset)
    item = ready(scan_folder(folder, name="x", masks="files")).items[0]
    assert item.mask is not None
    assert torch.allclose(item.mask, torch.full((1, 14, 18), 100 / 255))


def test_the_alpha_channel_masks_and_the_background_stays(
    ready: Prepare, folder: Path
) -> None:
    pixels = np.zeros((128, 160, 4), dtype=np.uint8)
    pixels[:, 80:, 3] = 255
    Image.fromarray(pixels).save(folder / "a2.png")
    dataset = scan_folder(folder, name="x", masks="alpha", background="#ff0000")
    item = ready(dataset).items[0]
    assert item.mask is not None
    assert item.mask[0, :, :8].max() == 0
    assert item.mask[0, :, 10:].min() == 1
    red = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    assert torch.allclose(item.latent[:, :, :8], red.expand(3, 14, 8))
    assert item.latent[:, :, 10:].max() < 0.01
    array = PictureAlpha(PictureArray("p", pixels))
    assert inspect_mask(array).brightest == 255
    assert np.asarray(decode_mask(array)).mean() == 127.5


def saved(path: Path, image: Image.Image, **options: Any) -> PictureFile:
    image.save(path, **options)
    return PictureFile(path, path.name)


def test_masks_are_numbers_and_not_colours(tmp_path: Path) -> None:
    """Whatever mode a picture editor has saved, half is half."""
    grey = Image.new("L", (16, 16), 128)
    clear = Image.new("LA", (16, 16), (255, 128))
    hidden = Image.new("RGBA", (16, 16), (255, 255, 255, 0))
    hidden.paste((128, 128, 128, 255), (0, 0, 8, 16))
    sixteen = Image.fromarray(np.full((16, 16), 128 * 257, dtype=np.uint16))
    for number, (image, options, wanted) in enumerate(
        [
            (grey, {}, 128),
            (grey.convert("RGB"), {"icc_profile": b"of no use"}, 128),
            (grey.convert("P"), {}, 128),
            (clear, {}, 128),
            (hidden, {}, 64),
            (sixteen, {}, 128),
            (Image.new("1", (16, 16), 1), {}, 255),
        ]
    ):
        mask = decode_mask(saved(tmp_path / f"{number}.png", image, **options))
        assert mask.mode == "L"
        assert np.asarray(mask).mean() == wanted, number
    cmyk = decode_mask(saved(tmp_path / "m.tif", Image.new("CMYK", (16, 16), (0, 0, 0, 0))))
    assert np.asarray(cmyk).min() == 255


def test_a_mask_is_looked_at_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = saved(tmp_path / "m.png", Image.new("L", (16, 8), 9))
    facts = inspect_mask(source)
    assert (facts.width_px, facts.height_px, facts.brightest) == (16, 8, 9)
    with monkeypatch.context() as patch:
        patch.setattr("lora_kiln.dataset.masks.load_upright", None)
        assert inspect_mask(PictureFile(source.path, source.name)) == facts
    Image.new("L", (16, 8), 10).save(source.path)
    os.utime(source.path, ns=(1, 1))
    assert inspect_mask(PictureFile(source.path, source.name)).brightest == 10


def test_cells_are_means() -> None:
    values = np.random.default_rng(2).integers(0, 256, (16, 24), dtype=np.uint8)
    cells = mask_cells(Image.fromarray(values), 8)
    wanted = values.reshape(2, 8, 3, 8).mean(axis=(1, 3)) / 255
    assert torch.allclose(cells[0], torch.from_numpy(wanted).float())
