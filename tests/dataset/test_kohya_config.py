"""Dataset configs of kohya's, and where they lead."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_kiln.core.errors import DatasetError
from lora_kiln.dataset.items import Dataset
from lora_kiln.dataset.kohya_config import read_kohya_config
from lora_kiln.dataset.kohya_scan import config_folders, scan_config
from lora_kiln.dataset.readers.reader import ReadOptions
from lora_kiln.dataset.scan import ScanOptions

# The example of kohya's own config_README, with keys of all sorts added.
README = """
[general]
shuffle_caption = true
caption_extension = '.txt'
keep_tokens = 1

[[datasets]]
resolution = 512
batch_size = 4
keep_tokens = 2
flip_aug = true
prior_loss_weight = 0.5

  [[datasets.subsets]]
  image_dir = 'C:\\hoge'
  class_tokens = 'hoge girl'
  num_repeats = 10

  [[datasets.subsets]]
  image_dir = 'C:\\fuga'
  class_tokens = 'fuga boy'
  keep_tokens = 3
  caption_prefix = "masterpiece,"
  num_repeat = 3

  [[datasets.subsets]]
  is_reg = true
  image_dir = 'C:\\reg'
  class_tokens = 'human'

[[datasets]]
resolution = [768, 768]

  [[datasets.subsets]]
  image_dir = 'C:\\piyo'
  metadata_file = 'C:\\piyo\\piyo_md.json'
"""


class Kit:
    """A folder with a config in it; everything below ``root`` is allowed."""

    def __init__(self, root: Path, gradient: Callable[..., Image.Image]) -> None:
        self.root, self.folder, self._gradient = root, root / "mine", gradient
        self.folder.mkdir(parents=True)

    def picture(self, path: str, caption: str | None = None) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        self._gradient(24, 16, seed=len(path)).save(file)
        if caption is not None:
            file.with_suffix(".txt").write_text(caption, encoding="utf-8")
        return file

    def allowed(self, path: Path) -> bool:
        real = os.path.realpath(self.root)
        return os.path.commonpath([real, os.path.realpath(path)]) == real

    def scan(self, text: str, name: str = "dataset.toml", **options: Any) -> Dataset:
        (self.folder / name).write_text(text, encoding="utf-8")
        made = ScanOptions(**options)
        return scan_config(self.folder, name, "input/mine", made, self.allowed)


@pytest.fixture
def kit(tmp_path: Path, gradient: Callable[..., Image.Image]) -> Kit:
    return Kit(tmp_path / "roots", gradient)


def subset(image_dir: str, more: str = "") -> str:
    return f"[[datasets]]\n[[datasets.subsets]]\nimage_dir = '{image_dir}'\n{more}\n"


def test_the_example_of_the_readme_on_another_machine(kit: Kit) -> None:
    kit.picture("mine/hoge/a.png", "hoge girl, smiling")
    kit.picture("mine/fuga/a.png", "a boy")
    kit.picture("mine/reg/a.png")
    kit.picture("mine/piyo/a.png", "this text file is not looked for")
    kit.picture("mine/piyo/b.png")
    table = {"C:\\piyo\\a.png": {"caption": "piyo", "tags": "bird, sky"}}
    (kit.folder / "piyo" / "piyo_md.json").write_text(json.dumps(table))
    dataset = kit.scan(README)
    rows = [(it.name, it.repeats, it.role, it.caption, it.subject) for it in dataset.items]
    assert rows == [
        ("input/mine/hoge/a.png", 10.0, "train", "hoge girl, smiling", "hoge girl"),
        ("input/mine/fuga/a.png", 1.0, "train", "masterpiece, a boy", "fuga boy"),
        ("input/mine/reg/a.png", 1.0, "regularisation", None, "human"),
        ("input/mine/piyo/a.png", 1.0, "train", "piyo, bird, sky", None),
    ]
    notes = "\n".join(dataset.notes)
    for told in (
        "resolution in dataset.toml is not used; here it is resolution of Train LoRA.",
        "flip_aug in dataset.toml is not used; here it is mirror of Train LoRA.",
        "prior_loss_weight in dataset.toml is not used; here it is regularisation_weight.",
        "Not used of dataset.toml: keep_tokens, shuffle_caption.",
        "not known to kohya's scripts either, so perhaps misspelt: num_repeat.",
        "subset 1 of dataset 1: C:\\hoge was found as hoge.",
        "1 pictures that metadata_file does not name were left out: b.png.",
    ):
        assert told in notes, told
    assert [origin.name for origin in dataset.origins] == [
        "input/mine/hoge", "input/mine/fuga", "input/mine/reg", "input/mine/piyo"
    ]  # fmt: skip
    assert dataset.items[3].caption_file == "piyo_md.json"
    chosen = kit.scan(README, read=ReadOptions(class_as_caption=True))
    assert chosen.items[2].caption == "human"


def test_json_and_relative_folders(kit: Kit) -> None:
    kit.picture("mine/img/5_x/a.png", "one")
    config = {"datasets": [{"num_repeats": 3, "subsets": [{"image_dir": "img/5_x"}]}]}
    dataset = kit.scan(json.dumps(config), "config.JSON")
    assert [(it.repeats, it.subject) for it in dataset.items] == [(3.0, None)]
    assert config_folders(kit.folder, "config.JSON", kit.allowed) == [kit.folder / "img" / "5_x"]


def test_folders_are_not_read_recursively_and_not_twice(kit: Kit) -> None:
    kit.picture("mine/x/a.png", "one")
    kit.picture("mine/x/below/b.png", "two")
    block = "[[datasets]]\n" + 2 * "[[datasets.subsets]]\nimage_dir = 'x'\n"
    dataset = kit.scan(block + "[[datasets.subsets]]\nimage_dir = 'x'\nnum_repeats = 0\n")
    assert len(dataset) == 1
    assert "names a folder for the second time" in str(dataset.notes)
    assert "num_repeats below 1" in str(dataset.notes)
    twice = kit.scan(subset("x") + subset("x"))
    assert [item.name for item in twice.items] == ["input/mine/x/a.png", "input/mine/x/a.png (2)"]


def test_a_folder_elsewhere_counts_where_datasets_may_lie(kit: Kit, tmp_path: Path) -> None:
    inside = kit.picture("other/a.png", "inside").parent
    assert len(kit.scan(subset(str(inside)))) == 1
    assert len(kit.scan(subset("../other"))) == 1
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.png").write_bytes(inside.joinpath("a.png").read_bytes())
    for path in (str(outside), "../../outside", "link", "mine/../../../outside"):
        if not (kit.folder / "link").exists():
            (kit.folder / "link").symlink_to(outside, target_is_directory=True)
        with pytest.raises(DatasetError, match="is not there, or not where datasets may lie"):
            kit.scan(subset(path))
    (kit.folder / "x").mkdir()
    kit.picture("mine/x/a.png", "one")
    (outside / "meta.json").write_text('{"a": {"caption": "secret"}}')
    for path in (str(outside / "meta.json"), "../../outside/meta.json"):
        with pytest.raises(DatasetError, match=r"metadata_file .* is not there, or not where"):
            kit.scan(subset("x", f"metadata_file = '{path}'"))


def test_bad_files_of_all_subsets_come_in_one_error(kit: Kit) -> None:
    for name in ("x", "y"):
        kit.picture(f"mine/{name}/a.png", "one")
        (kit.folder / name / "bad.png").write_bytes(b"no")
    with pytest.raises(DatasetError, match="2 files of input/mine cannot be used"):
        kit.scan(subset("x") + subset("y"))
    dataset = kit.scan(subset("x") + subset("y"), lenient=True)
    assert (len(dataset), [fault.origin.root.name for fault in dataset.faults]) == (2, ["x", "y"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = ", "dataset.toml: "),
        ("a = " + "[" * 5000, "dataset.toml: "),
        ("general = 3", r"\[general\] is no table"),
        ("datasets = 3", r"\[\[datasets\]\] is no list"),
        ("datasets = [3]", r"\[\[datasets\]\] is no table"),
        ("[[datasets]]\nsubsets = 'x'", r"subsets\]\] is no list"),
        ("", "names no folder"),
        ("[[datasets]]\n[[datasets.subsets]]\nnum_repeats = 1", "image_dir is missing"),
        (subset("x", "num_repeats = '3'"), "num_repeats is '3' and not of type int"),
        (subset("x", "num_repeats = true"), "num_repeats is 'True' and not of type int"),
        (subset("x", "is_reg = 1"), "is_reg is '1' and not of type bool"),
        (subset("x", "num_repeats = 0"), "leaves no folder to be read"),
        (subset("x", "caption_extension = '.png'"), "caption extension"),
        (subset("gone"), "image_dir 'gone' is not there"),
        (subset("a/" * 500), "is not there"),
        (subset("x" * 300), "is not there"),
        ('[[datasets]]\n[[datasets.subsets]]\nimage_dir = "a\\u0000b"', "is not there"),
    ],
)
def test_malformed_configs(kit: Kit, text: str, message: str) -> None:
    kit.picture("mine/x/a.png", "one")
    with pytest.raises(DatasetError, match=message):
        kit.scan(text)


def test_other_programs_toml_is_none(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("[tool.black]\nline-length = 100\n")
    with pytest.raises(DatasetError, match="names no folder"):
        read_kohya_config(tmp_path / "p.toml", "p.toml")


def test_a_table_that_is_named_goes_before_all_files_beside_pictures(kit: Kit) -> None:
    a = kit.picture("mine/img/a.png")
    kit.picture("mine/img/b.png")
    a.with_suffix(".json").write_text('{"tags": ["from", "a_board"]}', encoding="utf-8")
    rows = "file_name,caption\na.png,of metadata\nb.png,of metadata\n"
    a.with_name("metadata.csv").write_text(rows, encoding="utf-8")
    (kit.folder / "meta.json").write_text('{"a": {"caption": "of the table"}}', encoding="utf-8")
    dataset = kit.scan(subset("img", "metadata_file = 'meta.json'"))
    assert [(i.name, i.caption) for i in dataset.items] == [("a.png", "of the table")]


def test_repeats_beyond_all_numbers_are_refused_by_place(kit: Kit) -> None:
    kit.picture("mine/img/a.png", "a")
    with pytest.raises(DatasetError, match=r"subset 1 of dataset 1: num_repeats is more than"):
        kit.scan(subset("img", f"num_repeats = 1{'0' * 400}"))


def test_json_lines_without_a_picture_are_not_dropped(kit: Kit) -> None:
    kit.picture("mine/img/a.png")
    table = kit.folder / "meta.jsonl"
    for text, why in (
        ('{"image_path": "a.png", "caption": "x"}\n{"caption": "y"}', "no image_path"),
        ('{"image_path": "a.png", "caption": "x"}\n' * 2, "'a.png' for the second time"),
    ):
        table.write_text(text, encoding="utf-8")
        with pytest.raises(DatasetError, match=f"line 2 has {why}"):
            kit.scan(subset("img", "metadata_file = 'meta.jsonl'"))
