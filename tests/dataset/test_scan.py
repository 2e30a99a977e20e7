"""Folders as people keep them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_kiln.core.errors import ConfigError, DatasetError
from lora_kiln.dataset.items import Dataset
from lora_kiln.dataset.scan import listed_files, natural_key, scan_folder
from lora_kiln.dataset.summary import describe

Gradient = Callable[..., Image.Image]


def names(dataset: Dataset) -> list[str]:
    return [item.name for item in dataset.items]


def note(dataset: Dataset, part: str) -> str:
    matching = [text for text in dataset.notes if part in text]
    assert len(matching) == 1, dataset.notes
    return matching[0]


def test_order_captions_and_subjects(folder: Path) -> None:
    dataset = scan_folder(folder, name="plates")
    assert names(dataset) == ["a2.png", "woman/a9.png", "woman/a10.png"]
    assert [item.caption for item in dataset.items] == ["caption 0", "caption 2", "caption 1"]
    assert [item.subject for item in dataset.items] == [None, "woman", "woman"]
    assert (dataset.name, dataset.background, dataset.notes) == ("plates", "white", ())
    assert dataset.fingerprint == scan_folder(folder, name="again").fingerprint


def test_natural_order_is_total() -> None:
    words = ["b1", "a10", "A2", "a2", "a02", "10", "9", "a", ""]
    ordered = sorted(words, key=natural_key)
    assert ordered == ["", "9", "10", "a", "A2", "a02", "a2", "a10", "b1"]
    assert ordered == sorted(reversed(words), key=natural_key)


def test_hidden_and_rejected_files_are_left_out(folder: Path, gradient: Gradient) -> None:
    for relative in (".hidden.png", "rejected/x.png", "Rejected/y.png", ".git/z.png", "._a.png"):
        (folder / relative).parent.mkdir(exist_ok=True)
        gradient().save(folder / relative)
    assert len(scan_folder(folder, name="x")) == 3
    assert names(scan_folder(folder, name="x", recursive=False)) == ["a2.png"]
    assert [path.name for path in listed_files(folder)][:2] == ["a2.png", "a2.txt"]
    assert len(listed_files(folder)) == 6


def test_caption_files_of_other_endings(folder: Path) -> None:
    (folder / "a2.txt").rename(folder / "a2.caption")
    (folder / "woman/a9.tags").write_text("tag", encoding="utf-8")
    dataset = scan_folder(folder, name="x")
    assert dataset.items[0].caption == "caption 0"
    assert "2 .txt" in note(dataset, "different endings")
    assert scan_folder(folder, name="x", caption_extension="tags").items[1].caption == "tag"
    for bad in ("", ".png", "../x", ".t/x"):
        with pytest.raises(DatasetError, match="caption extension"):
            scan_folder(folder, name="x", caption_extension=bad)


def test_missing_and_empty_captions_are_counted(folder: Path) -> None:
    (folder / "a2.txt").unlink()
    (folder / "woman/a9.txt").write_text("  \n", encoding="utf-8")
    dataset = scan_folder(folder, name="x")
    assert [item.caption for item in dataset.items] == [None, "", "caption 1"]
    assert "1 of 3 pictures have no caption: a2.png" in note(dataset, "no caption")
    assert "woman/a9.png" in note(dataset, "captions are empty")


def test_captions_are_utf8_and_nothing_else(folder: Path) -> None:
    caption = folder / "a2.txt"
    caption.write_bytes("\ufeff Tsukumo (soar99), ünï\r\nsecond line \r\n".encode())
    assert scan_folder(folder, name="x").items[0].caption == "Tsukumo (soar99), ünï\nsecond line"
    for encoding in ("latin-1", "utf-16", "utf-16-le"):
        caption.write_bytes("a plate, ünï".encode(encoding))
        with pytest.raises(DatasetError, match=r"a2\.txt is not UTF-8.*encoding UTF-8"):
            scan_folder(folder, name="x")
    caption.write_bytes(b"x" * (2**20 + 1))
    with pytest.raises(DatasetError, match=r"a2\.txt has 1\.0 MiB"):
        scan_folder(folder, name="x")


def test_folders_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nothing"):
        scan_folder(tmp_path, name="x")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DatasetError, match=r"1 other files.*png"):
        scan_folder(tmp_path, name="x")
    with pytest.raises(DatasetError, match="does not exist"):
        scan_folder(tmp_path / "none", name="x")
    with pytest.raises(DatasetError, match="is not a folder"):
        scan_folder(tmp_path / "notes.txt", name="x")
    with pytest.raises(ConfigError, match="background"):
        scan_folder(tmp_path, name="x", background="plaid")


def test_damaged_pictures_stop_the_scan_by_name(folder: Path) -> None:
    path = folder / "woman/a9.png"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DatasetError, match=r"woman/a9\.png cannot be decoded"):
        scan_folder(folder, name="x")


def test_unreadable_folders_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def forbidding(path: str) -> Any:
        if os.fspath(path).endswith("woman"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidding)
    with pytest.raises(DatasetError, match="woman cannot be read: Permission denied"):
        scan_folder(folder, name="x")


def test_what_was_done_to_pictures_is_told(folder: Path, gradient: Gradient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    gradient().save(folder / "turned.jpg", exif=exif.tobytes())
    gradient().convert("RGBA").resize((99, 99)).rotate(30).save(folder / "see_through.png")
    (folder / "plate.psd").write_bytes(b"8BPS")
    dataset = scan_folder(folder, name="x", background="black")
    assert "(1): turned.jpg." in note(dataset, "Turned upright")
    assert "(1): see_through.png." in note(dataset, "Transparent areas")
    assert "plate.psd" in note(dataset, "kind that is not read")
    assert dataset.background == "black"


def test_metadata_gives_captions_subjects_and_columns(folder: Path) -> None:
    (folder / "a2.txt").unlink()
    (folder / "woman/a9.txt").unlink()
    (folder / "metadata.csv").write_text(
        "file_name,caption,subject,year\na2.png,from csv,hand,1910\nwoman/a9.png,,,1911\n"
        "woman/a10.png,loses,lady,\ngone.png,x,y,z\n",
        encoding="utf-8",
    )
    dataset = scan_folder(folder, name="x")
    first, second, third = dataset.items
    assert (first.caption, first.subject, first.columns) == ("from csv", "hand", {"year": "1910"})
    assert (second.caption, second.subject) == (None, "woman")
    assert (third.caption, third.subject, third.columns) == ("caption 1", "lady", {})
    assert "woman/a10.png" in note(dataset, "instead of the metadata")
    assert "gone.png" in note(dataset, "not here")


def test_progress_and_cancel(folder: Path, fakes: Any) -> None:
    progress = fakes.Progress()
    scan_folder(folder, name="x", progress=progress)
    assert progress.updates == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(KeyboardInterrupt):
        scan_folder(folder, name="x", progress=fakes.Progress(cancel_after=1))


def test_all_bad_files_come_in_one_error(folder: Path) -> None:
    (folder / "woman/a9.png").write_bytes(b"no")
    (folder / "a2.txt").write_bytes("ünï".encode("latin-1"))
    with pytest.raises(DatasetError, match="2 files of x cannot be used") as stopped:
        scan_folder(folder, name="x")
    assert "a2.txt is not UTF-8 text" in str(stopped.value)
    assert "woman/a9.png cannot be decoded" in str(stopped.value)
    for number in range(9):
        (folder / f"b{number}.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"11 files of x cannot be used.*and 6 more"):
        scan_folder(folder, name="x")


def test_bad_files_are_reported_and_nothing_else_is_lost(
    folder: Path, gradient: Gradient
) -> None:
    (folder / "woman/a9.png").write_bytes(b"no")
    (folder / "a2.txt").write_bytes("ünï".encode("latin-1"))
    (folder / "metadata.jsonl").write_text("{")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    gradient(9, 9).save(folder / "a2-masklabel.png")
    (folder / "woman/a10.json").write_text("[")
    gradient(160, 128).convert("L").save(folder / "woman/a10-masklabel.png")
    dataset = scan_folder(folder, name="x", masks="files", lenient=True)
    assert names(dataset) == ["a2.png", "woman/a10.png"]
    assert [item.caption for item in dataset.items] == [None, "caption 1"]
    assert [item.mask is None for item in dataset.items] == [True, False]
    assert {fault.file: fault.origin for fault in dataset.faults} == dict.fromkeys(
        ["metadata.jsonl", "woman/a9.png", "a2.txt", "gone.png", "a2-masklabel.png",
         "woman/a10.json"], dataset.origins[0],
    )  # fmt: skip
    told = describe(dataset)
    assert "6 files could not be used and were left out; training refuses" in told
    for fault in dataset.faults:
        assert f"- {fault.error.found}" in told


def test_a_folder_of_nothing_but_bad_files_is_still_a_dataset(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no")
    for masks in ("off", "files", "alpha"):
        dataset = scan_folder(tmp_path, name="x", masks=masks, lenient=True)
        assert (len(dataset), len(dataset.faults), len(dataset.origins)) == (0, 1, 1)
        with pytest.raises(DatasetError, match=r"a\.png cannot be decoded"):
            scan_folder(tmp_path, name="x", masks=masks)


def test_links_to_folders_are_told(folder: Path, tmp_path: Path) -> None:
    (folder / "link").symlink_to(tmp_path, target_is_directory=True)
    assert "Links to folders were not followed: link." in scan_folder(folder, name="x").notes


def test_a_config_alone_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text("")
    with pytest.raises(DatasetError, match=r"Write dataset\.toml into kohya_config"):
        scan_folder(tmp_path, name="x")


@pytest.mark.skipif(sys.platform != "linux", reason="only there a name is any bytes")
def test_names_that_are_no_text_are_told(folder: Path) -> None:
    """As an archive of a Japanese Windows leaves them; no manifest could hold them."""
    raw = os.fsencode(folder)
    shutil.copy(folder / "a2.png", os.fsdecode(raw + b"/\x89\xe6.png"))
    (folder / "stray").write_text("x")
    os.rename(folder / "stray", raw + b"/\x89\xe6.zip")
    with pytest.raises(DatasetError, match="The name of \ufffd\ufffd\\.png is no text"):
        scan_folder(folder, name="x")
    dataset = scan_folder(folder, name="x", lenient=True)
    assert [fault.file for fault in dataset.faults] == ["\ufffd\ufffd.png"]
    assert "\ufffd\ufffd.zip" in note(dataset, "with a name that is no text")
    str((dataset.notes, dataset.faults[0].error, dataset.origins[0].files)).encode("utf-8")
    assert len(listed_files(folder)) == 8


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_as_a_caption_is_told_and_not_waited_for(folder: Path) -> None:
    (folder / "a2.txt").unlink()
    os.mkfifo(folder / "a2.txt")
    with pytest.raises(DatasetError, match=r"a2\.txt is no ordinary file"):
        scan_folder(folder, name="x")
