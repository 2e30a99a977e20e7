"""Pictures, their hashes, and what makes a dataset another one."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest

from lora_kiln.core.errors import DatasetError
from lora_kiln.dataset import items as module
from lora_kiln.dataset.items import Dataset, DatasetItem, PictureArray, PictureFile


def picture(value: int) -> PictureArray:
    return PictureArray(f"p{value}", np.full((4, 4, 3), value, dtype=np.uint8))


def test_a_files_hash_stands_for_what_was_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    source = PictureFile(path, "a.png")
    assert source.sha256 == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"other")
    assert source.sha256 == hashlib.sha256(b"one").hexdigest()
    assert PictureFile(path, "a.png").sha256 == hashlib.sha256(b"other").hexdigest()


def test_an_arrays_hash_knows_its_shape() -> None:
    pixels = np.arange(48, dtype=np.uint8)
    wide, high = pixels.reshape(2, 8, 3), pixels.reshape(8, 2, 3)
    assert PictureArray("a", wide).sha256 == PictureArray("b", wide.copy()).sha256
    assert PictureArray("a", wide).sha256 != PictureArray("a", high).sha256


def test_files_that_cannot_be_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(DatasetError, match=r"a\.png cannot be read"):
        PictureFile(path, "a.png").read()
    path.write_bytes(b"")
    with pytest.raises(DatasetError, match=r"a\.png is an empty file"):
        PictureFile(path, "a.png").read()
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 2)
    path.write_bytes(b"123")
    with pytest.raises(DatasetError, match=r"a\.png has .* MiB"):
        _ = PictureFile(path, "a.png").sha256


def test_the_fingerprint_hears_of_everything_that_is_trained_on() -> None:
    first = DatasetItem("a", picture(1), "text")
    base = Dataset((first, DatasetItem("b", picture(2), None)), "set")
    others = [
        base.with_captions(["other", None]),
        base.with_captions(["text", ""]),
        dataclasses.replace(base, items=base.items[::-1]),
        dataclasses.replace(base, items=base.items[:1]),
        dataclasses.replace(base, background="black"),
        dataclasses.replace(base, items=(dataclasses.replace(first, weight=2.0), base.items[1])),
        dataclasses.replace(base, items=(dataclasses.replace(first, role="held-out"),)),
        dataclasses.replace(base, items=(DatasetItem("a", picture(3), "text"), base.items[1])),
    ]
    prints = {dataset.fingerprint for dataset in [base, *others]}
    assert len(prints) == 1 + len(others)
    renamed = dataclasses.replace(base, name="x", background="#ffffff").with_notes("hello")
    assert renamed.fingerprint == base.fingerprint


def test_captions_are_replaced_in_order() -> None:
    base = Dataset((DatasetItem("a", picture(1)), DatasetItem("b", picture(2))), "set")
    assert base.names_without_caption() == ["a", "b"]
    assert len(base) == 2
    captioned = base.with_captions(["one", None])
    assert [item.caption for item in captioned.items] == ["one", None]
    assert base.names_without_caption() == ["a", "b"]
    with pytest.raises(ValueError):
        base.with_captions(["one"])
