"""Caption files beside pictures."""

from __future__ import annotations

from typing import Any


def test_full_names_as_downloaders_write_them(mine: Any) -> None:
    mine.pictures("a.png", "b.png", "b.jpg").text("a.png.txt", "1girl\nlong_hair\no_o\n")
    mine.text("b.jpg.txt", "of the jpg").text("b.txt", "of both")
    items = mine.items()
    assert items["a.png"].caption == "1girl, long hair, o_o"
    assert items["a.png"].caption_file == "a.png.txt"
    assert (items["b.png"].caption, items["b.jpg"].caption) == ("of both", "of both")


def test_endings_are_found_in_any_case(mine: Any) -> None:
    mine.pictures("a.PNG", "b.png").text("a.TXT", "loud").text("b.txt", "exact")
    (mine.root / "b.TXT").write_text("other")
    items = mine.items()
    assert items["a.PNG"].caption == "loud"
    assert (items["b.png"].caption, items["b.png"].caption_file) == ("exact", "b.txt")


def test_composed_and_decomposed_names_are_the_same(mine: Any) -> None:
    mine.pictures("e\u0301.png").text("\u00e9.txt", "accent")
    assert mine.items()["e\u0301.png"].caption == "accent"


def test_only_lists_with_underscores_are_rewritten(mine: Any) -> None:
    texts = {
        "list": ("1girl blue_eyes solo", "1girl, blue eyes, solo"),
        "commas": ("1girl, blue_eyes", "1girl, blue_eyes"),
        "sentence": ("a photo of ohwx_man with a hat", "a photo of ohwx_man with a hat"),
        "full_stop": ("blue_eyes smiling.", "blue_eyes smiling."),
        "word": ("blue_eyes", "blue_eyes"),
        "plain": ("woman smiling", "woman smiling"),
        "twice": ("long_hair  1girl\nlong_hair", "long hair, 1girl"),
    }
    for name, (text, _) in texts.items():
        mine.pictures(f"{name}.png").text(f"{name}.txt", text)
    items = mine.items()
    assert {n: items[f"{n}.png"].caption for n in texts} == {n: w for n, (_, w) in texts.items()}
    dataset = mine.scan()
    told = "Tag lists with underscores were rewritten with commas and spaces (2): list.txt, "
    assert told in str(dataset.notes)
    left = mine.items(tags="as written")
    assert left["list.png"].caption == "1girl blue_eyes solo"
    kept = mine.items(tags="commas and underscores")
    assert kept["list.png"].caption == "1girl, blue_eyes, solo"


def test_a_bad_caption_is_not_replaced_by_another(mine: Any) -> None:
    mine.pictures("a.png").text("metadata.csv", "file_name,text\na.png,from the table\n")
    (mine.root / "a.txt").write_bytes("ünï".encode("latin-1"))
    dataset = mine.scan(lenient=True)
    assert [(fault.file, dataset.items[0].caption) for fault in dataset.faults] == [("a.txt", None)]
    assert dataset.items[0].caption_file is None
