"""Repeats, words, roles and subjects from the names of folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_kiln.dataset.readers.folder_names import KohyaName, kohya_name
from lora_kiln.dataset.scan import scan_folder


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("10_ohwx woman", KohyaName(10, "ohwx woman")),
        ("1_a_b", KohyaName(1, "a_b")),
        ("999_x", KohyaName(999, "x")),
        ("5_", KohyaName(5, "")),
        ("010_x", KohyaName(10, "x")),
        ("1910_plates", None), ("0_off", None), ("1girl", None), ("_x", None), ("x_10", None),
        ("-1_x", None), ("1.5_x", None), ("²_x", None), ("٣_x", None), ("9" * 5000 + "_x", None),
    ],
)  # fmt: skip
def test_kohya_names(name: str, parts: KohyaName | None) -> None:
    assert kohya_name(name) == parts


def test_the_layout_of_kohyas_window(mine: Any) -> None:
    mine.pictures("img/10_ohwx woman/a.png", "img/2_ohwx man/b.png", "reg/1_woman/c.png")
    mine.pictures("img/10_ohwx woman/close/d.png").text("reg/1_woman/c.txt", "a woman")
    items = mine.items()
    rows = {n.split("/")[-1]: (i.repeats, i.subject, i.role, i.caption) for n, i in items.items()}
    assert rows == {
        "a.png": (10.0, "ohwx woman", "train", None),
        "b.png": (2.0, "ohwx man", "train", None),
        "c.png": (1.0, "woman", "regularisation", "a woman"),
        "d.png": (10.0, "ohwx woman", "train", None),
    }
    assert items["img/10_ohwx woman/a.png"].columns == {"class": "ohwx woman"}
    chosen = mine.items(class_as_caption=True)
    assert {item.caption for item in chosen.values()} == {"ohwx woman", "ohwx man", "a woman"}
    dataset = mine.scan()
    told = "Repeats as the folders' names say: img/2_ohwx man (2), img/10_ohwx woman (10)."
    assert told in dataset.notes
    assert not any("instead" in note for note in mine.scan(class_as_caption=True).notes)


def test_a_chosen_folder_may_itself_be_kohyas(
    tmp_path: Path, gradient: Callable[..., Image.Image]
) -> None:
    (tmp_path / "3_cat").mkdir()
    gradient().save(tmp_path / "3_cat" / "a.png")
    item = scan_folder(tmp_path / "3_cat", name="x").items[0]
    assert (item.repeats, item.subject, item.columns) == (3.0, "cat", {"class": "cat"})


def test_numbers_that_are_names(mine: Any) -> None:
    mine.pictures("1910_plates/a.png", "0_off/b.png")
    items = mine.items()
    assert [(item.repeats, item.subject) for item in items.values()] == [
        (1.0, "0_off"), (1.0, "1910_plates")
    ]  # fmt: skip
    assert "taken for a name and not for repeats" in str(mine.scan().notes)


def test_everyday_words_are_splits_only_beside_train(mine: Any) -> None:
    mine.pictures("test/a.png", "train/b.png", "x/train/c.png", "x/boat/d.png", "y/eval/e.png")
    mine.pictures("Validation/f.png", "z/REG/g.png", "dev/woman/h.png")
    items = mine.items()
    roles = {name: (item.role, item.subject) for name, item in items.items()}
    assert roles == {
        "test/a.png": ("validation", None),
        "train/b.png": ("train", None),
        "x/train/c.png": ("train", "x"),
        "x/boat/d.png": ("train", "x"),
        "y/eval/e.png": ("train", "y"),
        "Validation/f.png": ("validation", None),
        "z/REG/g.png": ("regularisation", "z"),
        "dev/woman/h.png": ("validation", "woman"),
    }


def test_a_table_goes_before_a_folder(mine: Any) -> None:
    mine.pictures("reg/a.png").text("metadata.csv", "file_name,role,repeats\nreg/a.png,train,7\n")
    item = mine.items()["reg/a.png"]
    assert (item.role, item.repeats) == ("train", 7.0)


def test_folder_names_can_be_passed_over(mine: Any) -> None:
    mine.pictures("reg/5_x/a.png")
    items = mine.items(folder_names=False, class_words="sks dog", class_as_caption=True)
    item = items["reg/5_x/a.png"]
    assert (item.role, item.repeats, item.subject, item.caption) == (
        "train", 1.0, "sks dog", "sks dog"
    )  # fmt: skip
