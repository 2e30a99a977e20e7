"""What a tag is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.dataset.identity_tags import is_identity
from lora_kiln.dataset.tags import (
    is_emoticon,
    looks_like_tags,
    repeated,
    same_tag,
    split_tags,
    take_apart,
    unique,
    with_escapes,
    with_spaces,
    without_escapes,
)


@given(st.text(alphabet="ab ,|\n\\()_"))
def test_tags_are_where_they_say(caption: str) -> None:
    tags = split_tags(caption)
    for tag in tags:
        assert caption[tag.start : tag.end] == tag.text == tag.text.strip() != ""
        assert not set(tag.text) & set(",\n")
        assert "|||" not in tag.text
    left = caption
    for tag in reversed(tags):
        left = left[: tag.start] + left[tag.end :]
    assert not left.replace("|||", "").strip(" ,\n|")


def test_keep_mark() -> None:
    taken = take_apart("lazdraw, 1girl ||| red hair, hat")
    assert (taken.kept, taken.tags, taken.marked) == (
        ("lazdraw", "1girl"), ("red hair", "hat"), True
    )
    assert taken.join() == "lazdraw, 1girl ||| red hair, hat"
    assert take_apart("a,b\nc").join() == "a, b, c"


@pytest.mark.parametrize(
    "tag",
    ["^_^", ">_<", "o_o", "0_0", "@_@", "(o)_(o)", "<o>_<o>", "|_|", "||_||", "=_=", "x_x", "6_9",
     "3_3", "._.", "+_-", "<|>_<|>", r"\(o\)_\(o\)", ">_o"],
)
def test_faces_keep_their_mouths(tag: str) -> None:
    assert is_emoticon(tag)
    assert with_spaces(tag) == tag


@pytest.mark.parametrize("tag", ["long_hair", "looking_at_viewer", "my_hat", "ok_", "he_is"])
def test_other_underscores_are_spaces(tag: str) -> None:
    assert not is_emoticon(tag)
    assert with_spaces(tag) == tag.replace("_", " ")


def test_words_of_anime_models_stay() -> None:
    for tag in ("score_9", "score_8_up", "source_anime", "rating_safe"):
        assert with_spaces(tag) == tag


def test_equal_tags() -> None:
    assert len({same_tag(t) for t in ("Long_Hair", " long  hair", "LONG hair")}) == 1
    assert same_tag(r"rin_\(fate\)") == same_tag("Rin (fate)")
    assert unique(["my hat", "My_Hat", "c"]) == ["my hat", "c"]
    assert repeated(["my hat", "My_Hat", "c", "c"]) == ["My_Hat", "c"]


@given(st.text(alphabet="ab()\\ "))
def test_escapes(tag: str) -> None:
    assert with_escapes(with_escapes(tag)) == with_escapes(tag)
    if "\\" not in tag:
        assert without_escapes(with_escapes(tag)) == tag


def test_lists_and_sentences() -> None:
    assert looks_like_tags("1girl, red hair, hat")
    assert not looks_like_tags("A woman with red hair, who wears a rather large hat, is standing.")


def test_identity() -> None:
    for tag in (
        "long hair", "very_long_hair", "blonde hair", "short brown hair", "light blue hair",
        "bangs", "blue eyes", "heterochromia",
        "dark skin", "freckles", "scar on cheek", "large breasts", "muscular", "old man",
        "thick eyebrows", "beard", "cat ears", "wide hips", "multicolored hair", "hair bangs",
    ):
        assert is_identity(tag), tag
    for tag in (
        "hat", "blue dress", "smile", "closed eyes", "looking at viewer", "hair ribbon",
        "hairband", "red background", "sitting", "black cat", "old house", "eye contact",
        "hair ornament", "blue sky", "a woman with long hair and a hat", "wet hair",
    ):
        assert not is_identity(tag), tag
