"""Uploads and archives, without a server: whatever comes, it stays in its folder."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_kiln.core.errors import KilnError
from lora_kiln.dataset.intake import ARCHIVE, Intake, Limits, begin, sweep_broken
from lora_kiln.dataset.own_files import contained_file

if TYPE_CHECKING:
    from collections.abc import Mapping


def start(parent: Path, *, zipped: bool = False, limits: Limits | None = None) -> Intake:
    return begin(parent, "set", zipped=zipped, total_bytes=0, resolve=contained_file,
                 limits=limits)


def bring(intake: Intake, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        with intake.part(name, 0, len(data)) as file:
            file.write(data)


def test_limits_are_kept(tmp_path: Path) -> None:
    intake = start(tmp_path, limits=Limits(files=2, file_bytes=10, total_bytes=15))
    bring(intake, {"a.png": b"x" * 10})
    with pytest.raises(KilnError, match="11 bytes"):
        bring(intake, {"b.png": b"x" * 11})
    with pytest.raises(KilnError, match="files and"):
        bring(intake, {"c.png": b"x" * 9})
    with pytest.raises(KilnError, match=r"another file|arrived whole"):
        intake.publish(3)
    intake.abandon()
    assert list(tmp_path.iterdir()) == []


def test_cancelled_while_it_unpacks(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.png", b"x")
    intake = start(tmp_path, zipped=True)
    bring(intake, {ARCHIVE: out.getvalue()})
    intake.cancelled = True
    with pytest.raises(KilnError, match="has ended"):
        intake.publish(1)
    assert list(tmp_path.iterdir()) == []


def test_broken_uploads_are_swept(tmp_path: Path) -> None:
    bring(start(tmp_path), {"a.png": b"x"})
    assert sweep_broken(tmp_path) == 0
    assert sweep_broken(tmp_path, older_than_s=0) == 1
    assert list(tmp_path.iterdir()) == []


parts = st.sampled_from(
    ["a.png", "A.PNG", "b.txt", "..", ".", "", "sub", "set", "~", "C:", "\\", "é.png",
     "e\u0301.png", "__MACOSX", ".kiln", "\u202egnp.exe", "con.png", "a.png ", "x" * 300, "\0.png"]
)  # fmt: skip
names = st.lists(parts, min_size=1, max_size=4).map("/".join) | st.text(max_size=12)
entries = st.lists(
    st.tuples(names, st.binary(max_size=40), st.sampled_from([0, 0o100644, 0o120777, 0o040755])),
    max_size=6,
)


@settings(max_examples=120)
@given(entries, st.integers(0, 400), st.binary(max_size=3), st.booleans())
def test_any_archive_stays_in_its_folder(
    rows: list[tuple[str, bytes, int]], at: int, noise: bytes, shrink: bool
) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if shrink else 0) as archive:
        seen = set()
        for name, data, mode in rows:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            if info.filename not in seen:
                seen.add(info.filename)
                archive.writestr(info, data)
    raw = bytearray(out.getvalue())
    raw[at : at + len(noise)] = noise
    with tempfile.TemporaryDirectory() as base:
        parent = Path(base) / "inside" / "kiln"
        intake = start(parent, zipped=True)
        bring(intake, {ARCHIVE: bytes(raw)})
        try:
            published = intake.publish(1)
        except KilnError:
            published = None
        there = [p for p in Path(base).rglob("*") if p.is_file() or p.is_symlink()]
        home = [parent / published.name] if published else []
        assert all(any(p.is_relative_to(h) for h in home) and not p.is_symlink() for p in there)
        assert len(there) == (published.files if published else 0)
