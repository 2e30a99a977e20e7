"""Archives as streams: readable by others, the same again, and bounded in memory."""

from __future__ import annotations

import io
import os
import sys
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from lora_kiln.core.zip_stream import Entry, zip_blocks


def test_it_is_an_archive_like_any_other(tmp_path: Path) -> None:
    files = {"top/ä.png": b"x" * 3_000_000, "top/empty.txt": b"", "top/sub/b.txt": b"text"}
    entries = []
    for number, (name, data) in enumerate(files.items()):
        (tmp_path / f"{number}").write_bytes(data)
        entries.append(Entry(name, tmp_path / f"{number}"))
    blocks = list(zip_blocks(entries))
    assert max(map(len, blocks)) < 2**21
    with zipfile.ZipFile(io.BytesIO(b"".join(blocks))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files
    os.utime(tmp_path / "0", (1, 1))
    assert b"".join(zip_blocks(entries)) == b"".join(blocks)


def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    with open(tmp_path / "big", "wb") as file:
        file.truncate(2**28)
    tracemalloc.start()
    total = sum(len(block) for block in zip_blocks([Entry("big", tmp_path / "big")]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total > 2**28 and peak < 2**24


def test_a_file_that_changes_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a" * 3 * 2**20)
    blocks = zip_blocks([Entry("log", path)])
    next(blocks)
    path.write_bytes(b"a")
    with pytest.raises(OSError, match="became shorter"):
        list(blocks)


@pytest.mark.skipif(sys.platform != "linux", reason="names in bytes that are no text")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    """Old Windows archives leave them behind; picture and caption stay together."""
    entries = []
    for name in (b"caf\xe9.png", b"caf\xe9.txt"):
        path = tmp_path / os.fsdecode(name)
        path.write_bytes(name)
        entries.append(Entry(path.name, path))
    with zipfile.ZipFile(io.BytesIO(b"".join(zip_blocks(entries)))) as archive:
        assert archive.namelist() == ["café.png", "café.txt"]
