"""The tables that kohya's scripts write."""

from __future__ import annotations

from typing import Any

import pytest

from lora_kiln.core.errors import DatasetError


def test_stems_captions_and_tags(mine: Any) -> None:
    mine.pictures("a.png", "b.webp", "c.png", "d.png").json(
        "meta_lat.json",
        {
            "a": {"caption": "a plate", "tags": "engraving, skull", "train_resolution": [512, 512]},
            "b": {"tags": "bone"},
            "c": {"train_resolution": [512, 512]},
            "gone": {"caption": "x"},
        },
    )
    dataset = mine.scan()
    assert [item.caption for item in dataset.items] == [
        "a plate, engraving, skull", "bone", None, None
    ]  # fmt: skip
    assert dataset.items[0].columns == {"tags": "engraving, skull"}
    assert dataset.items[0].caption_file == "meta_lat.json"
    assert "meta_lat.json names pictures that are not here: gone." in dataset.notes


def test_whole_paths_of_another_machine(mine: Any) -> None:
    mine.pictures("10_x/a.png", "20_y/a.png", "20_y/b.png", "20_y/b.jpg").json(
        "meta_cap.json",
        {
            "/content/LoRA/train_data/10_x/a.png": {"caption": "first"},
            "C:\\data\\20_y\\a.png": {"caption": "second"},
            "/elsewhere/20_y/b.jpg": {"caption": "jpg"},
        },
    )
    items = mine.items()
    captions = {name: item.caption for name, item in items.items()}
    assert captions == {
        "10_x/a.png": "first", "20_y/a.png": "second", "20_y/b.jpg": "jpg", "20_y/b.png": None
    }  # fmt: skip


def test_a_stem_of_two_pictures_means_neither(mine: Any) -> None:
    mine.pictures("a.png", "a.jpg", "x/b.png", "y/b.png")
    mine.json("meta.json", {"a": {"caption": "?"}, "b": {"caption": "?"}})
    assert [item.caption for item in mine.scan().items] == [None] * 4
    assert "meta.json names pictures that are not here: a, b." in mine.scan().notes


def test_the_latest_stage_and_the_nearest_folder_count(mine: Any) -> None:
    mine.pictures("x/a.png", "x/b.png")
    mine.json("meta_cap.json", {"x/a": {"caption": "early"}})
    mine.json("meta_clean.json", {"x/a": {"caption": "clean"}, "x/b": {"caption": "clean"}})
    mine.json("x/meta.json", {"a": {"caption": "near"}})
    dataset = mine.scan()
    assert [item.caption for item in dataset.items] == ["near", "clean"]
    assert "meta_clean.json was read and not meta_cap.json." in dataset.notes


def test_other_json_is_left_alone(mine: Any) -> None:
    mine.pictures("a.png").json("meta_x.json", {"a": {"size": 3}}).json("metadata.json", {})
    mine.json("meta_list.json", [1]).json("meta_empty.json", {})
    assert mine.scan().items[0].caption is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": {"caption": 3}}, "caption of 'a' is no text"),
        ({"a": {"caption": "x"}, "a.png": {"caption": "y"}}, "two rows are about a.png"),
        ({"a/" * 3000: {"caption": "x"}}, "a key has 6000 letters"),
    ],
)
def test_malformed_tables(mine: Any, content: Any, message: str) -> None:
    mine.pictures("a.png").json("meta_cap.json", content)
    with pytest.raises(DatasetError, match=message):
        mine.scan()
