"""Scoring a sweep in the host: one picture at a time, everything looked at once."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lora_kiln.core.errors import DatasetError, HostError
from lora_kiln.dataset.items import Dataset, DatasetItem, PictureArray, PictureFile
from lora_kiln.tests.sweep.score_cases import blobs, make_plan, save_sweep


class Counted(Mapping[int, Image.Image]):
    """Pictures that are counted while they are alive."""

    def __init__(self, pictures: Mapping[int, Image.Image]) -> None:
        self._pictures = pictures
        self.alive, self.most, self.read = 0, 0, 0

    def __getitem__(self, index: int) -> Image.Image:
        picture = self._pictures[index]
        self.alive += 1
        self.read += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(picture, self._gone)
        return picture

    def _gone(self) -> None:
        self.alive -= 1

    def __contains__(self, index: object) -> bool:
        return index in self._pictures

    def __iter__(self) -> Iterator[int]:
        return iter(self._pictures)

    def __len__(self) -> int:
        return len(self._pictures)


def training_set(count: int) -> Dataset:
    items = [
        DatasetItem(f"{n}.png", PictureArray(f"{n}.png", np.asarray(blobs(80 + n))), f"thing {n}")
        for n in range(count)
    ]
    return Dataset(tuple(items), "things")


def score(sweep: Any, progress: Any, **request: Any) -> Any:
    from lora_kiln.host.scoring import ScoreRequest, score_sweep

    return score_sweep(ScoreRequest(sweep=sweep, **request), progress)


def test_a_large_sweep_is_scored_a_picture_at_a_time(host: Any, tmp_path: Path) -> None:
    from lora_kiln.tests.host.tiny_vision import make_vision

    plan = make_plan((0.0, 0.5, 1.0), seeds=tuple(range(30)), width_px=48, height_px=48)
    pictures = {cell.index: blobs(cell.index, (48, 48)) for cell in plan.cells}
    saved = save_sweep(tmp_path / "sweep", plan, pictures)
    for vision, most in ((None, 4), (make_vision(), 11)):
        counted: Any = Counted(saved.pictures)
        sweep = replace(saved, pictures=counted)
        host.updates.clear()
        scored = score(sweep, host, dataset=training_set(5), clip_vision=vision)
        assert set(scored.given.looks) == set(range(90))
        assert counted.most <= most
        # Once for the figures, once for the structure.
        assert counted.read == 90 + 60 + 30
        done, total = zip(*host.updates, strict=True)
        assert set(total) == {2 * 90 + 5}
        assert list(done) == sorted(done)
        assert done[-1] == total[-1]


def test_only_training_pictures_count(host: Any, tmp_path: Path) -> None:
    plan = make_plan()
    sweep = save_sweep(tmp_path / "sweep", plan, {0: blobs(1), 1: blobs(80)})
    whole = training_set(3)
    held = replace(whole, items=(replace(whole.items[0], role="validation"), *whole.items[1:]))
    assert score(sweep, host, dataset=whole).found["memorisation"].details["flag"][1] == "copy"
    scored = score(sweep, host, dataset=held)
    assert [picture.name for picture in scored.given.training] == ["1.png", "2.png"]
    assert scored.found["memorisation"].details["flag"][1] == ""
    assert scored.training_picture(0).size == (96, 96)


def test_training_pictures_are_looked_at_at_the_cells_size(host: Any, tmp_path: Path) -> None:
    plan = make_plan(width_px=64, height_px=64)
    sweep = save_sweep(tmp_path / "sweep", plan, {n: blobs(n, (64, 64)) for n in (0, 1)})
    chance = np.random.default_rng(0)
    grain = chance.integers(0, 256, (512, 512, 3), dtype=np.uint8)
    items = (DatasetItem("grain.png", PictureArray("grain.png", grain), "grain"),)
    (picture,) = score(sweep, host, dataset=Dataset(items, "grain")).given.training
    # Averaged over 8 x 8 pixels, noise of 74 levels leaves 9.
    assert picture.look.contrast < 0.06


def test_a_damaged_training_picture_is_named(host: Any, tmp_path: Path) -> None:
    torn = tmp_path / "torn.png"
    torn.write_bytes(b"\x89PNG\r\n\x1a\nno more")
    items = (DatasetItem("torn.png", PictureFile(torn, "torn.png"), "x"),)
    sweep = save_sweep(tmp_path / "sweep", make_plan(), {0: blobs(0), 1: blobs(1)})
    with pytest.raises(DatasetError, match=r"torn\.png"):
        score(sweep, host, dataset=Dataset(items, "torn"))


def test_large_cells_are_shown_small_in_the_page(host: Any, tmp_path: Path) -> None:
    from lora_kiln.host import previews
    from lora_kiln.host.score_page import cell_grid

    plan = make_plan()
    small = save_sweep(tmp_path / "small", plan, {n: blobs(n) for n in (0, 1)})
    told = cell_grid(score(small, host), None, tmp_path)
    assert told["folder"] == "small/cells"
    large = save_sweep(tmp_path / "large", plan, {n: blobs(n, (768, 512)) for n in (0, 1)})
    told = cell_grid(score(large, host), None, tmp_path)
    assert (told["folder"], told["cells"][1][4]) == ("large/previews", "cell_0001.webp")
    path = large.folder / previews.FOLDER / "cell_0001.webp"
    with Image.open(path) as shown:
        assert shown.size == (384, 256)
        whole = large.pictures[1].resize(shown.size)
        assert np.abs(np.asarray(shown.convert("RGB"), int) - np.asarray(whole, int)).mean() < 4
    made = path.stat().st_mtime_ns
    score(large, host)
    assert path.stat().st_mtime_ns == made
    # A cell without one is shown itself.
    path.unlink()
    told = cell_grid(score_of_files(large), None, tmp_path)
    assert told["folder"] == "large"
    assert [cell[4] for cell in told["cells"]] == ["previews/cell_0000.webp", "cells/cell_0001.png"]


def score_of_files(sweep: Any) -> Any:
    """Only what the page reads of a scored sweep."""
    return SimpleNamespace(sweep=sweep, choice=SimpleNamespace(shortlist=()))


def test_deleted_pictures_are_told(host: Any, tmp_path: Path) -> None:
    sweep = save_sweep(tmp_path / "sweep", make_plan(), {n: blobs(n) for n in (0, 1)})
    (sweep.folder / "cells" / "cell_0001.png").unlink()
    with pytest.raises(HostError, match=r"1 of the sweep's pictures are gone.*cell_0001\.png"):
        score(sweep, host)
