"""What Load Image Folder can be asked about reading."""

from __future__ import annotations

import importlib
import math
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

from lora_kiln.core.errors import MissingLibrary

CONFIG = """
[[datasets]]
resolution = 512
[[datasets.subsets]]
image_dir = 'C:\\train\\img'
num_repeats = 4
class_tokens = 'ohwx woman'
"""


@pytest.fixture
def data(comfy: Path) -> ModuleType:
    return importlib.import_module("lora_kiln.nodes.data")


@pytest.fixture
def kohya(comfy: Path) -> Iterator[Path]:
    """kohya's layout in the input folder, with a config and a bad file."""
    inputs = Path(importlib.import_module("folder_paths").get_input_directory())
    root = inputs / "kiln_kohya"
    for name, colour in (
        ("img/10_ohwx woman/a.png", "red"), ("reg/1_woman/b.png", "blue"), ("img/c.png", "grey")
    ):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48), colour).save(root / name)
    (root / "reg" / "1_woman" / "b.txt").write_text("woman long_hair", encoding="utf-8")
    (root / "dataset.toml").write_text(CONFIG, encoding="utf-8")
    yield root
    shutil.rmtree(root)


@pytest.fixture
def load(data: ModuleType) -> Callable[..., tuple[Any, int, str]]:
    def run(folder: str = "input/kiln_kohya", **changes: Any) -> tuple[Any, int, str]:
        inputs = {
            "folder": folder,
            "background": "white",
            "custom_background": "#f4efe6",
            "caption_extension": ".txt",
            "subfolders": True,
        }
        clone = data.KilnLoadImageFolder.PREPARE_CLASS_CLONE(None)
        with torch.inference_mode():
            dataset, count, summary = clone.execute(**(inputs | changes)).args
        return dataset, count, summary

    return run


def test_new_inputs_come_last_and_may_be_missing(data: ModuleType) -> None:
    inputs = data.KilnLoadImageFolder.GET_SCHEMA().inputs
    assert [socket.id for socket in inputs] == [
        "folder", "background", "custom_background", "caption_extension", "subfolders", "masks",
        "bad_files", "role", "regularisation_weight", "tags", "class_as_caption", "kohya_config",
    ]  # fmt: skip
    assert all(socket.optional for socket in inputs[5:])
    assert all(socket.tooltip for socket in inputs)


def test_kohyas_layout(load: Any, kohya: Path) -> None:
    dataset, _, summary = load()
    rows = [(it.name, it.repeats, it.role, it.caption, it.weight) for it in dataset.items]
    assert rows == [
        ("img/10_ohwx woman/a.png", 10.0, "train", None, 1.0),
        ("img/c.png", 1.0, "train", None, 1.0),
        ("reg/1_woman/b.png", 1.0, "regularisation", "woman, long hair", 1.0),
    ]
    assert "dataset.toml is a dataset config of kohya's and was not used" in summary
    dataset, _, _ = load(
        class_as_caption=True, tags="as written", regularisation_weight=0.25
    )
    assert [(item.caption, item.weight) for item in dataset.items] == [
        ("ohwx woman", 1.0), (None, 1.0), ("woman long_hair", 0.25)
    ]  # fmt: skip
    assert {item.role for item in load(role="validation")[0].items} == {"validation"}
    with pytest.raises(ValueError, match="role is 'test'"):
        load(role="test")
    with pytest.raises(ValueError, match="tags is 'x'"):
        load(tags="x")


def test_a_toml_that_was_not_asked_for_needs_no_library(
    load: Any, kohya: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.10 has no tomllib, and may have no tomli."""
    for library in ("tomllib", "tomli"):
        monkeypatch.setitem(sys.modules, library, None)
    assert load()[1] == 3
    with pytest.raises(MissingLibrary, match="tomli"):
        load(kohya_config="dataset.toml")


def test_a_config_reads_what_it_names(load: Any, data: ModuleType, kohya: Path) -> None:
    dataset, count, summary = load(kohya_config="dataset.toml", class_as_caption=True)
    assert [(it.name, it.repeats, it.caption) for it in dataset.items] == [
        ("c.png", 4.0, "ohwx woman")
    ]
    assert count == 1
    assert "resolution in dataset.toml is not used" in summary
    (kohya / "sub").mkdir()
    shutil.copy(kohya / "dataset.toml", kohya / "sub" / "x.toml")
    same, _, _ = load(kohya_config="sub\\x.toml", class_as_caption=True)
    assert same.fingerprint == dataset.fingerprint
    for bad in ("../x.toml", "gone.toml", "img/c.png", "/etc/passwd.toml", "a\0.toml"):
        with pytest.raises(ValueError, match=r"kohya_config is|leads out of"):
            load(kohya_config=bad)


def test_a_config_cannot_lead_out_of_the_registered_folders(
    load: Any, kohya: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    Image.new("RGB", (64, 48)).save(outside / "a.png")
    (kohya / "link").symlink_to(outside, target_is_directory=True)
    for path in (str(outside), "../../../outside", "link", "/etc"):
        text = f"[[datasets]]\n[[datasets.subsets]]\nimage_dir = '{path}'\n"
        (kohya / "evil.toml").write_text(text)
        with pytest.raises(ValueError, match="not where datasets may lie"):
            load(kohya_config="evil.toml")


def test_bad_files_stop_or_are_reported(load: Any, kohya: Path) -> None:
    (kohya / "img" / "bad.png").write_bytes(b"no")
    (kohya / "img" / "c.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="2 files of input/kiln_kohya cannot be used"):
        load()
    dataset, count, summary = load(bad_files="report")
    assert count == 3
    assert sorted(fault.file for fault in dataset.faults) == ["img/bad.png", "img/c.txt"]
    assert "- img/bad.png cannot be decoded" in summary


def test_the_fingerprint_follows_the_folders_of_a_config(data: ModuleType, kohya: Path) -> None:
    def fingerprint(**inputs: Any) -> Any:
        return data.KilnLoadImageFolder.fingerprint_inputs(
            folder="input/kiln_kohya", subfolders=False, **inputs
        )

    plain, with_config = fingerprint(), fingerprint(kohya_config="dataset.toml")
    (kohya / "img" / "c.txt").write_text("written since")
    assert fingerprint() == plain
    assert fingerprint(kohya_config="dataset.toml") != with_config
    (kohya / "dangling.png").symlink_to(kohya / "nowhere.png")
    assert fingerprint() != plain
    assert math.isnan(fingerprint(kohya_config=None))


def test_folders_of_folders_can_be_chosen(kohya: Path) -> None:
    paths = importlib.import_module("lora_kiln.host.paths")
    paths._list_dataset_folders.cache_clear()
    listed = paths.list_dataset_folders()
    for name in ("", "/img", "/img/10_ohwx woman", "/reg"):
        assert f"input/kiln_kohya{name}" in listed
    assert len(listed) == len(set(listed))
    assert paths.in_dataset_roots(kohya / "img")
    assert paths.in_dataset_roots(paths.DEMO_FOLDER)
    assert not paths.in_dataset_roots(kohya.parent.parent)


def test_a_config_and_its_table_are_watched_wherever_they_stand(
    data: ModuleType, kohya: Path
) -> None:
    """Neither lies in a folder that is looked through when subfolders is off."""
    (kohya / "configs").mkdir()
    config, table = kohya / "configs" / "x.toml", kohya / ".tables" / "meta.json"
    table.parent.mkdir()
    table.write_text('{"a": {"caption": "one"}}')
    config.write_text(
        "[[datasets]]\n[[datasets.subsets]]\nimage_dir = 'img/10_ohwx woman'\n"
        "metadata_file = '.tables/meta.json'\n"
    )

    def seen() -> str:
        return data.KilnLoadImageFolder.fingerprint_inputs(
            folder="input/kiln_kohya", subfolders=False, kohya_config="configs/x.toml"
        )

    before = seen()
    assert seen() == before
    table.write_text('{"a": {"caption": "another"}}')
    after = seen()
    assert after != before
    config.write_text(config.read_text() + "num_repeats = 3\n")
    assert seen() != after
