"""What picture boards and their downloaders write beside a picture."""

from __future__ import annotations

from typing import Any

import pytest

from lora_kiln.core.errors import DatasetError
from lora_kiln.dataset.booru_tags import is_face, join_tags
from lora_kiln.dataset.readers.json_sidecars import tags_by_category

POST = {
    "id": 6259045,
    "rating": "g",
    "score": 201,
    "source": "https://example.org/1",
    "md5": "74bb69060b24bc3a34d7be95c4268d78",
    "tag_string": "2girls absurdres fox_girl honkai:_star_rail o_o tingyun_(honkai:_star_rail)",
    "tag_string_general": "2girls fox_girl o_o",
    "tag_string_character": "tingyun_(honkai:_star_rail)",
    "tag_string_copyright": "honkai:_star_rail",
    "tag_string_artist": "machu_u",
    "tag_string_meta": "absurdres",
    "media_asset": {"variants": [{"type": "180x180"}]},
}


@pytest.mark.parametrize("name", ["a.json", "a.png.json", "a-danbooru.json", "a.JSON"])
def test_danbooru(mine: Any, name: str) -> None:
    mine.pictures("a.png").json(name, POST)
    item = mine.items()["a.png"]
    assert item.caption == (
        "tingyun (honkai: star rail), honkai: star rail, 2girls, fox girl, o_o"
    )
    assert item.caption_file == name
    assert item.columns["tags_artist"] == "machu u"
    assert (item.columns["tags_meta"], item.columns["rating"]) == ("absurdres", "g")
    written = mine.items(tags="as written")["a.png"]
    assert written.caption == "tingyun_(honkai:_star_rail) honkai:_star_rail 2girls fox_girl o_o"


def test_gallery_dl_e621_and_plain_tags() -> None:
    lists = {"tags_general": ["long_hair", "smile"], "tags_artist": ["x"], "tags": ["long_hair"]}
    assert tags_by_category(lists) == {"general": ["long_hair", "smile"], "artist": ["x"]}
    e621 = {"tags": {"general": ["tail"], "species": ["fox"], "artist": []}}
    assert tags_by_category(e621) == {"species": ["fox"], "general": ["tail"]}
    assert tags_by_category({"tags": "a_b c"}) == {"general": ["a_b", "c"]}
    assert tags_by_category({"tags": "a b, c"}) == {"general": ["a b", "c"]}
    assert tags_by_category({"tag_string": "x y", "tags": 3}) == {"general": ["x", "y"]}
    assert tags_by_category({"tags": [1, None, {"name": "x"}]}) == {}


def test_faces_keep_their_mouths() -> None:
    faces = ["o_o", ">_<", "^_^", "(o)_(o)", "|_|", "3_3", "<|>_<|>", "+_-", "@_@"]
    words = ["long_hair", "a_b_c", "_", "x", "k-on!_x", "_x", "1_girl"]
    assert [face for face in faces if not is_face(face)] == []
    assert [word for word in words if is_face(word)] == []
    assert join_tags(["_", "long_hair_", "x"], "commas and spaces") == "_, long hair, x"


def test_a_caption_in_json(mine: Any) -> None:
    mine.pictures("a.png").json("a.json", {"caption": " a plate ", "tags": "big_hat z"})
    item = mine.items()["a.png"]
    assert (item.caption, item.columns) == ("a plate", {"tags_general": "big hat, z"})


def test_a_caption_file_goes_first_but_columns_stay(mine: Any) -> None:
    mine.pictures("a.png").json("a.json", POST).text("a.txt", "mine")
    dataset = mine.scan()
    item = dataset.items[0]
    assert (item.caption, item.caption_file, item.columns["rating"]) == ("mine", "a.txt", "g")
    assert "A caption file was used instead of a JSON file: a.png." in dataset.notes


def test_json_about_something_else_is_told(mine: Any) -> None:
    mine.pictures("a.png", "b.png").json("a.json", {"nodes": []}).json("b.json", [1])
    dataset = mine.scan()
    assert [item.caption for item in dataset.items] == [None, None]
    assert "(2): a.json, b.json." in str(dataset.notes)


@pytest.mark.parametrize(
    "text",
    [
        "{", "", "[" * 100_000, '{"a": 1, "a": 2}', '{"tags": "\\ud800"}',
        '{"x":' * 70 + "1" + "}" * 70,
    ],
)
def test_malformed_json_is_named(mine: Any, text: str) -> None:
    mine.pictures("a.png").text("a.json", text)
    with pytest.raises(DatasetError, match=r"a\.json is malformed"):
        mine.scan()
    assert [fault.file for fault in mine.scan(lenient=True).faults] == ["a.json"]
