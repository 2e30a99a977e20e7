"""What was computed once is read ever after, unless its entry is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lora_kiln.core.store import Tensors, TensorStore


class Maker:
    """Makes tensors and counts how often."""

    def __init__(self, value: float = 1.0) -> None:
        self.value = value
        self.calls = 0

    def __call__(self) -> Tensors:
        self.calls += 1
        return {"x": torch.full((2, 3), self.value).T, "half": torch.ones(2, dtype=torch.bfloat16)}


def test_made_once_then_read(tmp_path: Path) -> None:
    store, make = TensorStore(tmp_path), Maker()
    made = store.get_or_make({"file": "a", "size": 3}, make)
    read = TensorStore(tmp_path).get_or_make({"size": 3, "file": "a"}, make)
    assert make.calls == 1
    assert made.keys() == read.keys()
    for name, tensor in made.items():
        assert torch.equal(tensor, read[name])
        assert tensor.dtype == read[name].dtype


def test_every_ingredient_counts(tmp_path: Path) -> None:
    store, make = TensorStore(tmp_path), Maker()
    for ingredients in ({"a": 1}, {"a": 2}, {"a": "1"}, {"b": 1}, [1], None):
        store.get_or_make(ingredients, make)
    assert make.calls == 6
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 6
    assert all(path.parent.name == path.name[:2] for path in files)


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "header"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: str) -> None:
    store, make = TensorStore(tmp_path), Maker()
    good = store.get_or_make("key", make)
    (path,) = tmp_path.rglob("*.safetensors")
    whole = path.read_bytes()
    broken = {
        "empty": b"",
        "cut": whole[:-5],
        "noise": bytes(range(256)),
        "header": b"\xff" * 8 + whole[8:],
    }
    path.write_bytes(broken[damage])
    again = store.get_or_make("key", make)
    assert make.calls == 2
    assert torch.equal(again["x"], good["x"])
    assert path.read_bytes() == whole
    store.get_or_make("key", make)
    assert make.calls == 2


def test_a_failing_maker_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> Tensors:
        raise RuntimeError("no VAE")

    with pytest.raises(RuntimeError, match="no VAE"):
        TensorStore(tmp_path).get_or_make("key", fail)
    assert list(tmp_path.rglob("*")) == []
