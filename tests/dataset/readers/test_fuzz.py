"""Whatever stands in a file of a dataset: a dataset or a told error, and never another file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lora_kiln.core.errors import KilnError
from lora_kiln.dataset.kohya_scan import scan_config
from lora_kiln.dataset.readers.reader import ReadOptions
from lora_kiln.dataset.scan import ScanOptions, scan

SECRET = "what stands outside of the folder"
paths = st.sampled_from(
    ["a.png", "x/b.png", "a", "b", "../secret.txt", "/etc/passwd", "..", ".", "", "x", "./x/../x",
     "C:\\x\\b.png", "link", "link/secret.txt", "\0", "x\0", "~", "a.png/", "//a.png", "é.png"]
)  # fmt: skip
keys = st.sampled_from(
    ["caption", "text", "tags", "file_name", "role", "split", "repeats", "loss_weight", "subject",
     "tag_string_general", "tags_meta", "image_dir", "metadata_file", "num_repeats", "is_reg",
     "class_tokens", "caption_extension", "caption_prefix", "general", "datasets", "subsets",
     "image_path", "train_resolution", "odd"]
)  # fmt: skip
leaves = st.one_of(
    paths, st.none(), st.booleans(), st.integers(-3, 12), st.floats(), st.text(max_size=6),
    st.sampled_from(["long_hair 1girl", "train", "val", "hero", ".txt", "\ud800", "1e400", "0.5"]),
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(keys | paths, inside, max_size=4),
    max_leaves=8,
)
rows = st.dictionaries(keys, leaves, max_size=5)
broken = st.binary(max_size=40) | st.text(max_size=40).map(lambda t: t.encode("utf-8", "replace"))
look = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode("ascii")


def as_csv(table: list[dict[str, Any]]) -> bytes:
    columns = sorted({key for row in table for key in row})
    lines = [columns, *[[row.get(column, "") for column in columns] for row in table]]
    text = "\n".join(",".join(str(cell) for cell in line) for line in lines)
    return text.encode("utf-8", "replace")


def as_toml(value: dict[str, Any]) -> bytes:
    """A config of one subset with these keys, as TOML spells most JSON values."""
    lines = [f"{key} = {json.dumps(cell)}" for key, cell in value.items() if cell is not None]
    return "\n".join(["[[datasets]]", "[[datasets.subsets]]", *lines]).encode("utf-8", "replace")


@pytest.fixture
def place(tmp_path: Path, gradient: Callable[..., Image.Image]) -> Path:
    """Two pictures in a folder, a secret beside it, and a link to it."""
    folder = tmp_path / "roots" / "mine"
    (folder / "x").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text(SECRET)
    (tmp_path / "meta.json").write_text(json.dumps({"a": {"caption": SECRET}}))
    (tmp_path / "secret.png").write_text(SECRET)
    (folder / "link").symlink_to(tmp_path, target_is_directory=True)
    for name in ("a.png", "x/b.png"):
        gradient(8, 8).save(folder / name)
    return folder


def read(folder: Path, lenient: bool, config: str = "") -> None:
    """Reads it; whatever comes of it must be told, and must not be from elsewhere."""
    options = ScanOptions(
        lenient=lenient,
        read=ReadOptions(class_as_caption=True),
    )
    try:
        if config:
            dataset = scan_config(folder, config, "mine", options, lambda p: inside(p, folder))
        else:
            dataset = scan(folder, "mine", options)
    except KilnError as error:
        told = str(error)
    else:
        told = ""
    assert SECRET not in told
    if told:
        return
    if not config:
        assert [item.name for item in dataset.items] == ["a.png", "x/b.png"]
    for item in dataset.items:
        assert SECRET not in f"{item.caption} {dict(item.columns)}"
        assert 0 < item.repeats <= 10_000
        assert 0 <= item.weight <= 1000
        assert item.role in ("train", "regularisation", "validation")
        assert inside(item.source.path, folder)  # type: ignore[attr-defined]
        (item.caption or "").encode("utf-8")
    _ = dataset.fingerprint


def inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.parent.resolve())


@look
@given(
    st.sampled_from(["metadata.jsonl", "x/metadata.jsonl"]),
    st.lists(rows.map(as_json) | broken, max_size=3).map(b"\n".join),
    st.booleans(),
)
def test_json_lines(place: Path, name: str, data: bytes, lenient: bool) -> None:
    for other in ("metadata.jsonl", "x/metadata.jsonl"):
        (place / other).write_bytes(data if other == name else b"")
    read(place, lenient)


@look
@given(st.lists(rows, max_size=3).map(as_csv) | broken, st.booleans())
def test_csv(place: Path, data: bytes, lenient: bool) -> None:
    (place / "metadata.csv").write_bytes(data)
    read(place, lenient)


@look
@given(
    st.sampled_from(["a.json", "a.png.json", "meta_lat.json", "x/meta.json"]),
    values.map(as_json) | broken,
    st.booleans(),
)
def test_json(place: Path, name: str, data: bytes, lenient: bool) -> None:
    (place / name).write_bytes(data)
    read(place, lenient)
    (place / name).unlink()


@look
@given(st.sampled_from(["a.txt", "a.caption", "a.png.txt"]), broken, st.booleans())
def test_text(place: Path, name: str, data: bytes, lenient: bool) -> None:
    (place / name).write_bytes(data)
    read(place, lenient)
    (place / name).unlink()


@look
@given(st.dictionaries(keys, leaves, max_size=6).map(as_toml) | broken, st.booleans())
def test_toml(place: Path, data: bytes, lenient: bool) -> None:
    (place / "c.toml").write_bytes(data)
    read(place, lenient, "c.toml")


@look
@given(
    st.dictionaries(keys, leaves, max_size=5)
    .map(lambda subset: {"image_dir": "x"} | subset)
    .map(lambda subset: {"datasets": [{"subsets": [subset]}]})
    .map(as_json)
    | values.map(as_json),
    st.booleans(),
)
def test_json_configs(place: Path, data: bytes, lenient: bool) -> None:
    (place / "c.json").write_bytes(data)
    read(place, lenient, "c.json")
