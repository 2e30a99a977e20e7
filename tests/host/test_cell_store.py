"""Finished cells: whole or not there, found by their key alone."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from PIL import Image

from lora_kiln.core.atomic import TEMPORARY_SUFFIX
from lora_kiln.sweep.cell_settings import CellSettings

RECORD = {"mode": "batched", "reason": "ünïcödé", "seconds": 1.5, "parity": None, "batch": 3}
CELL = CellSettings(seed=5)


def key_of(settings: CellSettings, way: str) -> str:
    return f"{settings.seed:02x}{way}".ljust(64, "0")


@pytest.fixture(autouse=True)
def _host(comfy: Path) -> None:
    """The module stands in the host's room."""


def test_a_cell_is_found_again_with_its_record(tmp_path: Path) -> None:
    from lora_kiln.host.cell_store import CellStore

    picture = Image.effect_noise((20, 10), 60).convert("RGB")
    stored = CellStore(tmp_path, key_of).put(CELL, "batched", picture, RECORD)
    found = CellStore(tmp_path, key_of).find(CELL, "batched")
    assert found is not None
    assert (found.path, found.record) == (stored.path, RECORD)
    with Image.open(found.path) as opened:
        assert opened.convert("RGB").tobytes() == picture.tobytes()
    assert CellStore(tmp_path, key_of).find(CELL, "patched") is None
    assert CellStore(tmp_path, key_of).find(CellSettings(seed=6), "batched") is None


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "text", "another"])
def test_a_damaged_cell_is_thrown_away(tmp_path: Path, harm: str) -> None:
    from lora_kiln.host.cell_store import CellStore

    store = CellStore(tmp_path, key_of)
    picture = Image.effect_noise((64, 64), 60).convert("RGB")
    path = store.put(CELL, "batched", picture, RECORD).path
    data = path.read_bytes()
    if harm == "another":
        other = store.put(CellSettings(seed=6), "batched", picture, RECORD)
        path.write_bytes(other.path.read_bytes())
    else:
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]
        path.write_bytes(
            {"cut": data[:-30], "flipped": flipped, "empty": b"", "text": b"not a picture"}[harm]
        )
    assert CellStore(tmp_path, key_of).find(CELL, "batched") is None
    assert not path.exists()


def test_leavings_of_killed_workers_go_and_those_of_running_ones_stay(tmp_path: Path) -> None:
    from lora_kiln.host.cell_store import CellStore

    old, new = (tmp_path / "ab" / f".{name}{TEMPORARY_SUFFIX}" for name in ("old", "new"))
    old.parent.mkdir()
    for path in (old, new):
        path.write_bytes(b"x")
    long_ago = time.time() - 7200
    os.utime(old, (long_ago, long_ago))
    CellStore(tmp_path, key_of)
    assert (old.exists(), new.exists()) == (False, True)
