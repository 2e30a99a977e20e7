"""States of a dataset: written, read again, compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lora_kiln.core.errors import DatasetError
from lora_kiln.dataset.items import Dataset
from lora_kiln.dataset.manifest import (
    Manifest,
    PictureState,
    manifest_of,
    read_manifest,
    write_manifest,
)
from lora_kiln.dataset.manifest_diff import describe_diff, diff_manifests
from lora_kiln.dataset.scan import scan_folder

states = st.builds(
    PictureState,
    sha256=st.sampled_from("abc"),
    caption=st.sampled_from([None, "", "a cat", "a dog"]),
    role=st.sampled_from(["train", "validation"]),
    weight=st.just(1.0),
    repeats=st.sampled_from([1.0, 2.0]),
    mask=st.none(),
)
manifests = st.builds(
    Manifest,
    name=st.just("n"),
    state=st.just("s"),
    background=st.just("#ffffff"),
    pictures=st.dictionaries(st.sampled_from(["1", "2", "3", "4"]), states),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    root.mkdir()
    for number, colour in enumerate(["red", "green", "blue"]):
        Image.new("RGB", (300, 300), colour).save(root / f"{number}.png")
        (root / f"{number}.txt").write_text(f"a plate of leaf number {number}, ink")
    return root


def scan(folder: Path) -> Dataset:
    return scan_folder(folder, name="set")


def test_written_and_read_again(folder: Path, tmp_path: Path) -> None:
    manifest = manifest_of(scan(folder))
    path = write_manifest(tmp_path, manifest)
    assert read_manifest(path) == manifest
    assert manifest.state == scan(folder).fingerprint
    assert manifest.background == "#ffffff"
    assert manifest.pictures["1.png"].caption == "a plate of leaf number 1, ink"


def test_what_a_person_did_is_told(folder: Path) -> None:
    before = manifest_of(scan(folder))
    Image.new("RGB", (300, 300), "white").save(folder / "3.png")
    (folder / "3.txt").write_text("new")
    (folder / "0.png").rename(folder / "first.png")
    (folder / "0.txt").rename(folder / "first.txt")
    (folder / "1.txt").write_text("a plate of leaf number 1, pencil")
    Image.new("RGB", (300, 300), "pink").save(folder / "2.png")
    after = manifest_of(scan(folder))
    assert describe_diff(diff_manifests(before, after)).splitlines() == [
        "1 picture added, 1 picture replaced, 1 picture renamed, 1 caption changed.",
        "Added: 3.png.",
        "Replaced: 2.png.",
        "Renamed: 0.png is now first.png.",
        "1.png: 'a plate of leaf number 1, ink' is now 'a plate of leaf number 1, pencil'",
    ]
    assert "1 picture removed" in describe_diff(diff_manifests(after, before))


def test_roles_weights_and_background_are_told(folder: Path) -> None:
    dataset = scan(folder)
    before = manifest_of(dataset)
    items = (replace(dataset.items[0], role="validation", repeats=2.0), *dataset.items[1:])
    after = manifest_of(replace(dataset, items=items, background="black"))
    text = describe_diff(diff_manifests(before, after))
    assert text.startswith("role of 1 picture changed, repeats of 1 picture changed, background")
    assert "Background: #ffffff is now #000000." in text
    assert before.state != after.state


@given(manifests, manifests)
def test_a_diff_accounts_for_every_picture(before: Manifest, after: Manifest) -> None:
    diff = diff_manifests(before, after)
    old_names = {old for old, _ in diff.renamed}
    new_names = {new for _, new in diff.renamed}
    kept = set(before.pictures) - set(diff.removed) - old_names
    assert kept == set(after.pictures) - set(diff.added) - new_names
    for old, new in diff.renamed:
        assert before.pictures[old].sha256 == after.pictures[new].sha256
    assert diff.is_empty == (before == after)
    assert describe_diff(diff)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"version": 9}', '{"version": 1, "name": "x", "pictures": {"a": 1}}',
     '{"version": 1, "name": "x", "state": "", "background": "", "pictures": {"a": {"b": 1}}}'],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "dataset.json"
    path.write_text(content)
    with pytest.raises(DatasetError, match="no manifest"):
        read_manifest(path)
    with pytest.raises(DatasetError, match="no manifest"):
        read_manifest(tmp_path / "none.json")


def test_manifests_of_other_versions_are_told(folder: Path, tmp_path: Path) -> None:
    path = write_manifest(tmp_path, manifest_of(scan(folder)))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 2}))
    with pytest.raises(DatasetError, match="its version is 2"):
        read_manifest(path)


def test_a_focus_is_part_of_the_state(folder: Path, tmp_path: Path) -> None:
    """It moves what is cut off, so a training sees another picture."""
    before = manifest_of(scan(folder))
    (folder / "metadata.csv").write_text("file_name,focus\n1.png,0.5 0.2\n")
    after = manifest_of(scan(folder))
    assert before.state != after.state
    assert describe_diff(diff_manifests(before, after)).splitlines() == [
        "focus of 1 picture changed.",
        "Focus changed: 1.png.",
    ]
    # Those from before a focus was kept are still read.
    path = write_manifest(tmp_path, before)
    kept = json.loads(path.read_text())
    for picture in kept["pictures"].values():
        del picture["focus"]
    path.write_text(json.dumps(kept))
    assert read_manifest(path) == before
