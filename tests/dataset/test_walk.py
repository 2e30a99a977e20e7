"""Walking a folder, and finding files in what was seen."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.dataset.walk import Listing, ending_of, list_folder, name_of, parent_of, stem_of

names = st.text("abAB.é_ 1", min_size=1, max_size=12).filter(lambda n: not n.startswith("."))
paths = st.lists(names, min_size=1, max_size=4).map("/".join)


@given(paths)
def test_parts_of_a_path_are_those_of_pathlib(path: str) -> None:
    pure = PurePosixPath(path)
    assert name_of(path) == pure.name
    assert parent_of(path) == ("" if str(pure.parent) == "." else str(pure.parent))
    assert stem_of(path) + path[len(stem_of(path)) :] == path
    if not pure.name.endswith("."):  # Python 3.14 sees an ending in a last dot.
        assert ending_of(path) == pure.suffix.lower()
        assert stem_of(path) == str(pure.with_suffix(""))


@given(st.sets(paths, max_size=12), paths)
def test_what_is_found_is_there_and_is_the_same_name(files: set[str], wanted: str) -> None:
    listing = Listing(Path("x"), tuple(sorted(files)))
    found = listing.find(wanted)
    if wanted in files:
        assert found is not None
        assert unicodedata.normalize("NFC", found) == unicodedata.normalize("NFC", wanted)
    if found is not None:
        assert found in files
        assert stem_of(found) == stem_of(wanted)


def test_links(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for folder in (mine / "sub", other):
        folder.mkdir(parents=True)
    (other / "a.png").write_text("x")
    (mine / "to_other").symlink_to(other, target_is_directory=True)
    (mine / "round").symlink_to(mine, target_is_directory=True)
    (mine / "a.png").symlink_to(other / "a.png")
    (mine / "gone.png").symlink_to(other / "gone.png")
    (mine / "itself.png").symlink_to(mine / "itself.png")
    (mine / "rejected").symlink_to(other, target_is_directory=True)
    listing = list_folder(mine)
    assert listing.files == ("a.png", "gone.png", "itself.png")
    assert listing.linked == ("round", "to_other")


def test_kinds_of_files(tmp_path: Path) -> None:
    for name in ("a.PNG", "mask/a.png", "b-masklabel.png", "x/y/n.txt", "x/.h", ".z/a.png", "e."):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    listing = list_folder(tmp_path)
    assert listing.pictures == ("a.PNG",)
    assert listing.masks == ("b-masklabel.png", "mask/a.png")
    assert listing.others == ("e.", "x/y/n.txt")
    assert listing.folders == {"", "mask", "x", "x/y"}
    assert listing.siblings == {"": {"mask", "x"}, "x": {"y"}}
    assert list_folder(tmp_path, recursive=False).files == (
        "a.PNG", "b-masklabel.png", "e.", "mask/a.png"
    )  # fmt: skip


def test_a_folder_is_walked_without_asking_for_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        (tmp_path / f"{number}.txt").write_text("x")
    asked: list[object] = []
    stat = os.stat

    def counting(*args: Any, **options: Any) -> os.stat_result:
        asked.append(args)
        return stat(*args, **options)

    monkeypatch.setattr(os, "stat", counting)
    assert len(list_folder(tmp_path).files) == 50
    assert len(asked) <= 2
