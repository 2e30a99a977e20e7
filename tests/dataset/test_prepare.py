"""Encoding once, and again exactly when something that decides the result has changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lora_kiln.core.errors import ConfigError, DatasetError, HostError
from lora_kiln.core.store import TensorStore
from lora_kiln.dataset.bucket_settings import BucketChoices, BucketSettings
from lora_kiln.dataset.items import Dataset, DatasetItem, PictureArray
from lora_kiln.dataset.prepare import TrainingSet, prepare
from lora_kiln.dataset.scan import scan_folder

BUCKETS = BucketSettings(resolution_px=128)


class Bench:
    """A store and stand-ins; every call of ``run`` prepares and tells what was encoded."""

    def __init__(self, root: Path, fakes: Any) -> None:
        self.fakes, self.vae, self.text = fakes, fakes.Vae(), fakes.Text()
        self.store = TensorStore(root)
        self.progress = fakes.Progress()

    def run(
        self, dataset: Dataset, buckets: BucketSettings | Sequence[BucketSettings] = BUCKETS
    ) -> TrainingSet:
        self.vae.calls, self.text.calls, self.progress = 0, [], self.fakes.Progress()
        return prepare(
            dataset,
            buckets=buckets,
            vae=self.vae,
            text=self.text,
            store=self.store,
            progress=self.progress,
        )

    @property
    def encoded(self) -> tuple[int, int]:
        return self.vae.calls, len(self.text.calls)


@pytest.fixture
def bench(tmp_path: Path, fakes: Any) -> Bench:
    return Bench(tmp_path / "cache", fakes)


def test_what_training_reads(folder: Path, bench: Bench) -> None:
    ready = bench.run(scan_folder(folder, name="plates"))
    first = ready.items[0]
    # 160 x 128 at an area of 128 x 128: 144 x 112 is nearest in shape.
    assert first.latent.shape == (3, 14, 18)
    assert first.latent.dtype == torch.float32
    assert vars(first.geometry) == {
        "original_width_px": 160,
        "original_height_px": 128,
        "crop_left_px": 0,
        "crop_top_px": 1,
        "target_width_px": 144,
        "target_height_px": 112,
    }
    assert (first.name, first.caption, first.weight) == ("a2.png", "caption 0", 1.0)
    assert first.embedding.tokens[0, :, 0].tolist() == [float(ord(c)) for c in "caption "]
    assert first.embedding.pooled is not None
    assert set(first.embedding.extras) == {"mask"}
    assert ready.empty_embedding.tokens[0, 0, 0] == ord(" ")
    assert ready.by_bucket() == {(144, 112): [0, 1, 2]}
    assert bench.encoded == (3, 4)
    assert bench.progress.updates == [(n, 7) for n in range(1, 8)]
    assert [picture.size for picture in bench.progress.pictures] == [(144, 112)] * 3


def test_pixels_are_resized_and_cut_at_the_centre(bench: Bench) -> None:
    # Three grey stripes; a bucket of 128 x 128 keeps the middle of a slightly wide picture.
    pixels = np.zeros((256, 272, 3), dtype=np.uint8)
    pixels[:, 8:264] = 255
    dataset = Dataset((DatasetItem("a", PictureArray("a", pixels), "x"),), "set")
    ready = bench.run(dataset)
    assert ready.items[0].geometry.crop_left_px == 4
    assert ready.items[0].latent.min() > 0.95


def test_nothing_is_encoded_twice(folder: Path, bench: Bench) -> None:
    one = bench.run(scan_folder(folder, name="plates"))
    two = bench.run(scan_folder(folder, name="other name"))
    assert bench.encoded == (0, 0)
    assert one.fingerprint == two.fingerprint
    for a, b in zip(one.items, two.items, strict=True):
        assert torch.equal(a.latent, b.latent)
        assert a.geometry == b.geometry
        assert torch.equal(a.embedding.tokens, b.embedding.tokens)
        assert torch.equal(a.embedding.extras["mask"], b.embedding.extras["mask"])


def edit_bytes(folder: Path, bench: Bench, gradient: Callable[..., Image.Image]) -> None:
    gradient(160, 128, seed=77).save(folder / "a2.png")


def edit_caption(folder: Path, bench: Bench, gradient: object) -> None:
    (folder / "a2.txt").write_text("other", encoding="utf-8")


def other_vae(folder: Path, bench: Bench, gradient: object) -> None:
    bench.vae.identity = "vae-2"


def other_text(folder: Path, bench: Bench, gradient: object) -> None:
    bench.text.identity = "text-2"


@pytest.mark.parametrize(
    ("change", "encoded"),
    [(edit_bytes, (1, 0)), (edit_caption, (0, 1)), (other_vae, (3, 0)), (other_text, (0, 4))],
)
def test_only_what_changed_is_encoded_again(
    folder: Path, bench: Bench, gradient: Any, change: Any, encoded: tuple[int, int]
) -> None:
    before = bench.run(scan_folder(folder, name="x"))
    change(folder, bench, gradient)
    after = bench.run(scan_folder(folder, name="x"))
    assert bench.encoded == encoded
    assert after.fingerprint != before.fingerprint


def test_size_and_background_are_part_of_the_latent(folder: Path, bench: Bench) -> None:
    dataset = scan_folder(folder, name="x")
    bench.run(dataset)
    bench.run(dataset, BucketSettings(resolution_px=144))
    assert bench.encoded[0] == 3
    bench.run(dataclasses.replace(dataset, background="black"))
    assert bench.encoded[0] == 3
    bench.run(dataclasses.replace(dataset, background="#FFFFFF"))
    assert bench.encoded[0] == 0


def test_a_picture_renamed_is_the_same_picture(folder: Path, bench: Bench) -> None:
    bench.run(scan_folder(folder, name="x"))
    for ending in ("png", "txt"):
        (folder / f"a2.{ending}").rename(folder / f"z.{ending}")
    bench.run(scan_folder(folder, name="x"))
    assert bench.encoded == (0, 0)


def test_a_file_changed_after_the_scan_poisons_no_cache(
    folder: Path, bench: Bench, gradient: Any
) -> None:
    dataset = scan_folder(folder, name="x")
    gradient(160, 128, seed=5).save(folder / "a2.png")
    with pytest.raises(DatasetError, match=r"a2\.png has changed.*Queue the graph again"):
        bench.run(dataset)
    assert list(bench.store.root.rglob("*.safetensors")) == []


def test_missing_captions_are_named(folder: Path, bench: Bench) -> None:
    (folder / "a2.txt").unlink()
    with pytest.raises(DatasetError, match=r"1 of 3 pictures .*: a2\.png.*KilnTemplateCaptions"):
        bench.run(scan_folder(folder, name="x"))
    assert bench.encoded == (0, 0)


def test_only_pictures_for_training_are_prepared(folder: Path, bench: Bench) -> None:
    dataset = scan_folder(folder, name="x")
    held = tuple(dataclasses.replace(item, role="held-out") for item in dataset.items)
    ready = bench.run(dataclasses.replace(dataset, items=(dataset.items[0], *held[1:])))
    assert [item.name for item in ready.items] == ["a2.png"]
    with pytest.raises(DatasetError, match="no picture to train on"):
        bench.run(dataclasses.replace(dataset, items=held))


def test_a_vae_that_returns_nan_is_caught_before_the_cache(folder: Path, bench: Bench) -> None:
    dataset = scan_folder(folder, name="x")
    bench.vae.result_factor = float("nan")
    with pytest.raises(HostError, match=r"VAE returned values that are not numbers for a2\.png"):
        bench.run(dataset)
    bench.vae.result_factor = 1.0
    bench.run(dataset)
    assert bench.encoded[0] == 3


def test_a_vae_of_another_size_is_refused(folder: Path, bench: Bench) -> None:
    bench.vae.downscale = 16
    with pytest.raises(HostError, match="belongs to the model"):
        bench.run(scan_folder(folder, name="x"))
    bench.vae.downscale = 32
    with pytest.raises(ConfigError, match="multiple of 32"):
        bench.run(scan_folder(folder, name="x"))


def test_small_pictures_and_large_losses_are_named(bench: Bench) -> None:
    def dataset(width: int, height: int) -> Dataset:
        pixels = np.full((height, width, 3), 9, dtype=np.uint8)
        return Dataset((DatasetItem("b", PictureArray("b", pixels), "x"),), "set")

    with pytest.raises(DatasetError, match="b is 63 x 100"):
        bench.run(dataset(63, 100))
    assert any("b (" in note for note in bench.run(dataset(1200, 100)).notes)
    assert bench.run(dataset(200, 200)).notes == ()


def test_tensors_made_in_inference_mode_can_be_trained_on(folder: Path, bench: Bench) -> None:
    for _ in range(2):  # A miss, then a hit.
        with torch.inference_mode():
            ready = bench.run(scan_folder(folder, name="x"))
        latent = ready.items[0].latent
        assert not latent.is_inference()
        assert not ready.empty_embedding.tokens.is_inference()
        weight = torch.ones(3, 1, 1, requires_grad=True)
        (latent * weight).sum().backward()


def test_cancel_stops_between_pictures_and_keeps_what_was_done(
    folder: Path, bench: Bench, fakes: Any
) -> None:
    dataset = scan_folder(folder, name="x")
    bench.fakes = type("F", (), {"Progress": lambda: fakes.Progress(cancel_after=4)})
    with pytest.raises(KeyboardInterrupt):
        bench.run(dataset)
    assert bench.encoded == (1, 0)
    bench.fakes = fakes
    bench.run(dataset)
    assert bench.encoded == (2, 4)


def test_a_picture_is_trained_at_every_resolution(folder: Path, bench: Bench) -> None:
    dataset = scan_folder(folder, name="plates")
    one = bench.run(dataset, BucketSettings(resolution_px=160))
    both = bench.run(dataset, BucketChoices(more_resolutions="128").at(160))
    assert bench.encoded == (3, 0)  # The larger size and the captions are there already.
    assert both.fingerprint != one.fingerprint
    assert [item.name for item in both.items] == [i.name for i in one.items for _ in range(2)]
    assert [item.caption for item in both.items] == [i.caption for i in one.items for _ in "12"]
    assert sorted(map(len, both.by_bucket().values())) == [3, 3]


def golden() -> Dataset:
    """Two pictures that are the same to the last bit everywhere."""
    pixels = np.arange(128 * 160 * 3, dtype=np.uint32).reshape(128, 160, 3).astype(np.uint8)
    items = tuple(
        DatasetItem(name, PictureArray(name, pixels), f"caption {name}", weight=weight)
        for name, weight in (("a", 1.0), ("b", 0.5))
    )
    return Dataset(items, "golden")


def test_fingerprints_from_before_there_were_repeats_stand(bench: Bench) -> None:
    """Else every finished run would be trained again."""
    assert bench.run(golden()).fingerprint == (
        "129d4ee486e9e4c14a9860304371e6ce6d6cf7977c2b98059a8c583108edfda1"
    )
    assert golden().fingerprint == (
        "c3208d29ec17e6a4e2a7506597224b0a899df4faa7da730d10916e8135f54fa5"
    )


def test_roles_and_repeats_reach_the_training(bench: Bench) -> None:
    first, second = golden().items
    held = dataclasses.replace(first, name="v", role="validation", caption=None)
    own = [
        dataclasses.replace(second, name=name, role="regularisation", caption=name) for name in "rs"
    ]
    items = (held, own[0], dataclasses.replace(first, repeats=2.5), own[1])
    dataset = dataclasses.replace(golden(), items=items)
    ready = bench.run(dataset)
    rows = [(it.name, it.repeats, it.regularisation, it.weight) for it in ready.items]
    assert rows == [("r", 2.0, True, 0.5), ("a", 2.5, False, 1.0), ("s", 1.0, True, 0.5)]
    assert ready.repeats() == {0: 2.0, 1: 2.5, 2: 1.0}
    assert "1 pictures are held out" in ready.notes[-1]
    alone = bench.run(dataclasses.replace(dataset, items=items[1:]))
    assert alone.fingerprint == ready.fingerprint
    other = bench.run(dataclasses.replace(dataset, items=(*items[:3], second)))
    assert other.fingerprint != ready.fingerprint
    only = dataclasses.replace(dataset, items=(held, *own))
    with pytest.raises(DatasetError, match="no picture to train on"):
        bench.run(only)


def test_regularisation_beyond_the_balance_is_not_even_encoded(bench: Bench) -> None:
    first, second = golden().items
    own = [dataclasses.replace(second, name=str(n), role="regularisation") for n in range(5)]
    ready = bench.run(dataclasses.replace(golden(), items=(first, *own)))
    assert [item.name for item in ready.items] == ["a", "0"]
    assert "4 regularisation pictures are too many: 1, 2, 3 and 1 more." in ready.notes


def test_a_dataset_with_bad_files_is_refused(folder: Path, bench: Bench) -> None:
    (folder / "bad.png").write_bytes(b"no")
    dataset = scan_folder(folder, name="x", lenient=True)
    with pytest.raises(DatasetError, match=r"1 files of 'x' could not be read: bad\.png cannot"):
        bench.run(dataset)
    assert bench.encoded == (0, 0)
