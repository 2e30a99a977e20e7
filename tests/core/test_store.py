"""What was computed once is read ever after, unless its entry is damaged."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from lora_kiln.core import atomic
from lora_kiln.core.settings import digest
from lora_kiln.core.store import Tensors, TensorStore
from lora_kiln.core.store_entry import DamagedEntry, read_entry, write_entry
from lora_kiln.core.store_limit import clear


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


def test_a_flipped_bit_anywhere_is_noticed(tmp_path: Path) -> None:
    tensors = Maker()()
    path = tmp_path / "entry"
    write_entry(path, "key", tensors)
    whole = path.read_bytes()
    unnoticed = 0
    for bit in range(len(whole) * 8):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with contextlib.suppress(DamagedEntry):
            read = read_entry(path, "key")
            assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())
            unnoticed += 1
    assert unnoticed <= 8 * 8  # Those of the spaces that pad the header decide nothing.


def test_an_entry_under_another_name_is_not_believed(tmp_path: Path) -> None:
    store, make = TensorStore(tmp_path), Maker()
    store.get_or_make("one", make)
    (one,) = tmp_path.rglob("*.safetensors")
    other = store.path(digest("other"))
    other.parent.mkdir(exist_ok=True)
    one.rename(other)
    make.value = 2.0
    assert store.get_or_make("other", make)["x"].max() == 2
    assert make.calls == 2


def test_entries_from_before_there_were_checksums_are_still_read(tmp_path: Path) -> None:
    store, make = TensorStore(tmp_path), Maker()
    atomic.write_tensors(store.path(digest("old")), {"x": torch.full((1,), 7.0)})
    assert store.get_or_make("old", make)["x"].item() == 7
    assert make.calls == 0


def filled(root: Path, count: int, limit_bytes: int = 10**9) -> list[Path]:
    """Entries of 4 KiB each, the first used longest ago; returns their paths."""
    store = TensorStore(root, limit_bytes=limit_bytes)
    paths = []
    for number in range(count):
        store.get_or_make(number, lambda: {"x": torch.zeros(1000)})
        path = store.path(digest(number))
        paths.append(path)
        os.utime(path, (0, time.time() - 10_000 + number))
    return paths


def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    paths = filled(tmp_path, 20)
    size = paths[0].stat().st_size
    make = Maker()
    store = TensorStore(tmp_path, limit_bytes=20 * size)
    store.get_or_make(1, make)
    store.get_or_make("new", lambda: {"x": torch.zeros(1000)})
    left = [number for number, path in enumerate(paths) if path.exists()]
    assert make.calls == 0
    assert left == [1, *range(4, 20)]  # A read is a use; cleared to nine tenths.
    assert store.path(digest("new")).exists()
    assert store.get_or_make(0, make)["x"].shape == (3, 2)


def test_the_limit_holds_while_much_is_written(tmp_path: Path) -> None:
    size = filled(tmp_path / "one", 1)[0].stat().st_size
    filled(tmp_path / "many", 300, limit_bytes=50 * size)
    left = sum(1 for _ in (tmp_path / "many").rglob("*.safetensors"))
    assert 45 <= left <= 51


def test_only_entries_and_abandoned_temporary_files_are_removed(tmp_path: Path) -> None:
    filled(tmp_path, 4)
    vision = filled(tmp_path / "vision", 2)
    names = ("pictures.sqlite", "ab/notes.txt", "a.safetensors")
    others = [tmp_path / name for name in names]
    left_behind = tmp_path / "ab" / f".1{atomic.TEMPORARY_SUFFIX}"
    being_written = tmp_path / "ab" / f".2{atomic.TEMPORARY_SUFFIX}"
    left_behind.parent.mkdir(exist_ok=True)
    for path in (*others, left_behind, being_written):
        path.write_bytes(b"x" * 100)
    os.utime(left_behind, (0, 0))
    assert clear(tmp_path, 1) == 0
    assert all(path.exists() for path in (*others, *vision, being_written))
    assert not left_behind.exists()
    assert list(tmp_path.glob("??/*.safetensors")) == []
    assert clear(tmp_path / "nowhere", 1) == 0


WORKER = """
import sys; sys.path.insert(0, {devtools!r})
from load_pack import load_pack; load_pack()
import torch
from pathlib import Path
from lora_kiln.core.store import TensorStore
store = TensorStore(Path({root!r}), limit_bytes=60_000)
print("ready", flush=True)
sys.stdin.readline()
for turn in range({turns}):
    for number in range(40):
        made = store.get_or_make(number, lambda: {{"x": torch.full((1000,), float(number))}})
        assert torch.equal(made["x"], torch.full((1000,), float(number))), number
print("done", flush=True)
"""


def test_processes_share_a_store_and_one_is_killed(tmp_path: Path) -> None:
    """Both write, read and clear at once, as this one does; one dies in the middle of it."""
    devtools = str(Path(__file__).resolve().parents[2] / "devtools")
    root = tmp_path / "store"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER.format(devtools=devtools, root=str(root), turns=turns)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for turns in (5, 10_000)
    ]
    for run in runs:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("go\n")
        run.stdin.flush()
    begun, store = time.monotonic(), TensorStore(root, limit_bytes=60_000)
    while time.monotonic() < begun + 0.3:
        for number in range(40):
            wanted = torch.full((1000,), float(number))
            made = store.get_or_make(number, partial(dict, x=wanted))
            assert torch.equal(made["x"], wanted)
    runs[1].kill()
    assert runs[0].communicate(timeout=120)[0] == "done\n"
    runs[1].communicate()
    # Whatever the killed one left: every entry is whole, and nothing of it is in the way.
    for path in root.glob("??/*.safetensors"):
        assert read_entry(path, path.stem)["x"].shape == (1000,)
    assert clear(root, 60_000) <= 60_000
