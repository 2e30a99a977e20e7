"""Uploads and archives, without a server: whatever comes, it stays in its folder."""

from __future__ import annotations

import io
import os
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


def test_a_part_that_breaks_off_is_not_taken_for_whole(tmp_path: Path) -> None:
    """It had come whole before, and came again because its answer got lost."""
    intake = start(tmp_path)
    bring(intake, {"a.png": b"x" * 10})
    part = intake.part("a.png", 0, 10)
    part.__enter__().write(b"x")
    broken = ConnectionError()
    assert not part.__exit__(ConnectionError, broken, None)
    with pytest.raises(KilnError, match=r"Send a\.png again"):
        intake.publish(1)
    with pytest.raises(KilnError, match="0 bytes so far"), intake.part("a.png", 5, 10):
        pass


def by_parts(root: Path, name: str) -> Path:
    """Names as the server contains them: a backslash parts folders, too."""
    return root.joinpath(*name.replace("\\", "/").split("/"))


def test_a_backslash_is_no_folder(tmp_path: Path) -> None:
    """Else it would hide a file of the tools from the look at its name, or be one with a/b.png."""
    intake = begin(tmp_path, "set", zipped=False, total_bytes=0, resolve=by_parts)
    for name in ("sub\\.kiln\\review.json", "a\\b.png"):
        with pytest.raises(KilnError, match="backslash"):
            bring(intake, {name: b"x"})
    assert list(intake.staged.iterdir()) == []


def test_what_unpacks_for_hours_is_not_swept(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(3):
            archive.writestr(f"{number}.png", b"x")
    intake = start(tmp_path, zipped=True)
    bring(intake, {ARCHIVE: out.getvalue()})
    looks = []

    def resolve(root: Path, name: str) -> Path:
        looks.append(intake.folder.stat().st_mtime)
        return contained_file(root, name)

    # Between two files hours pass.
    intake.check_cancelled = lambda: os.utime(intake.folder, (1, 1))  # type: ignore[method-assign]
    intake.resolve = resolve
    assert intake.publish(1).pictures == 3
    assert min(looks[-3:]) > 1


def test_many_files_are_admitted_in_linear_time(tmp_path: Path) -> None:
    intake = start(tmp_path)
    counted = 0

    class Counted(dict[str, object]):
        def values(self) -> object:  # type: ignore[override]
            nonlocal counted
            counted += 1
            return super().values()

    intake._files = Counted()  # type: ignore[assignment]
    bring(intake, {f"{number}.png": b"x" for number in range(50)})
    assert counted == 0
