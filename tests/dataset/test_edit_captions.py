"""Edits of captions."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.core.errors import ConfigError, DatasetError
from lora_kiln.dataset.edit_captions import (
    changes_text,
    edit_caption,
    edit_captions,
    replace_text,
)
from lora_kiln.dataset.edit_settings import CaptionEdits
from lora_kiln.dataset.items import Dataset, DatasetItem, PictureFile
from lora_kiln.dataset.tags import same_tag, split_tags

TAGS = st.lists(
    st.sampled_from([
        "1girl", "long_hair", "Long hair", "blue eyes", "^_^", "lazdraw", "LazDraw", "hat",
        r"rin \(fate\)", "rin (fate)", "grey background", "simple background", "", "score_9",
        "a portrait by lazdraw of a man", "best, quality", "x ||| y", "two\nlines",
    ]),
    max_size=9,
).map(", ".join)
EDITS = st.builds(
    CaptionEdits,
    trigger=st.sampled_from(["", "lazdraw", "laz_draw", "laz (x)"]),
    append=st.sampled_from(["", "best quality", "hat, outside"]),
    remove_tags=st.sampled_from(["", "hat", "*background", "l*g hair\n1girl"]),
    remove_identity=st.booleans(),
    remove_duplicates=st.booleans(),
    order=st.sampled_from(["as it is", "a to z", "common first", "rare first", "shuffled"]),
    keep_tokens=st.integers(0, 3),
    seed=st.integers(0, 5),
    spaces=st.sampled_from(["as it is", "spaces", "underscores"]),
    escapes=st.sampled_from(["as it is", "remove", "add"]),
    letter_case=st.sampled_from(["as it is", "lower case"]),
)


def edited(caption: str, **settings: Any) -> str:
    return edit_caption(caption, CaptionEdits(**settings), Counter(), name="a.png")


def dataset_of(*captions: str | None) -> Dataset:
    items = tuple(
        DatasetItem(f"{n}.png", PictureFile(Path(f"{n}.png"), f"{n}.png"), caption)
        for n, caption in enumerate(captions)
    )
    return Dataset(items, "d")


@given(TAGS, EDITS)
def test_twice_is_once(caption: str, edits: CaptionEdits) -> None:
    once = edit_caption(caption, edits, {}, name="a.png")
    assert edit_caption(once, edits, {}, name="a.png") == once


@given(TAGS)
def test_the_defaults_change_nothing(caption: str) -> None:
    assert edited(caption.strip(" ,\n")) == caption.strip(" ,\n")
    assert replace_text(caption, CaptionEdits()) == caption


@given(TAGS, EDITS)
def test_tags_are_only_lost_where_asked(caption: str, edits: CaptionEdits) -> None:
    edits = dataclasses.replace(
        edits, remove_tags="", remove_identity=False, escapes="as it is", spaces="as it is"
    )
    after = edit_caption(caption, edits, {}, name="a.png")
    keys = {same_tag(t.text) for t in split_tags(after)}
    assert {same_tag(t.text) for t in split_tags(caption)} <= keys


def test_trigger() -> None:
    assert edited("a man", trigger="lazdraw") == "lazdraw, a man"
    assert edited("lazdraw, a man", trigger="lazdraw") == "lazdraw, a man"
    assert edited("a man, Lazdraw, hat", trigger="lazdraw") == "lazdraw, a man, hat"
    sentence = "a drawing by lazdraw of a man"
    assert edited(sentence, trigger="lazdraw") == sentence
    assert edited("lazdraws", trigger="lazdraw") == "lazdraw, lazdraws"
    assert edited("a, b", trigger="t", append="b, z") == "t, a, b, z"


def test_sentences_keep_their_shape() -> None:
    text = "A man,  who sits.\nHe smiles,"
    assert edited(text, remove_duplicates=True, remove_tags="hat") == text.strip(",")


def test_removing() -> None:
    caption = "1girl, long hair, hat, grey background, simple background, hat"
    assert edited(caption, remove_tags="*background\nHAT") == "1girl, long hair"
    assert edited(caption, remove_identity=True).startswith("1girl, hat")
    assert edited(caption, remove_duplicates=True).count("hat") == 1
    assert edited(caption, remove_tags="1girl, hat", keep_tokens=1).startswith("1girl, long hair")
    assert edited("x ||| hat, y", remove_tags="hat, x") == "x ||| y"


def test_order() -> None:
    dataset = dataset_of("z, b, a", "z, c", "z, b")
    common = edit_captions(dataset, CaptionEdits(order="common first"))
    assert [i.caption for i in common.items] == ["z, b, a", "z, c", "z, b"]
    rare = edit_captions(dataset, CaptionEdits(order="rare first", keep_tokens=1))
    assert rare.items[0].caption == "z, a, b"
    assert edited("c, b, a", order="a to z", trigger="t") == "t, a, b, c"
    long = ", ".join(f"t{i}" for i in range(12))
    first = edited(long, order="shuffled", seed=1)
    assert first != long
    assert sorted(first.split(", ")) == sorted(long.split(", "))
    assert first == edited(long, order="shuffled", seed=1) != edited(long, order="shuffled", seed=2)


def test_find_and_replace() -> None:
    def found(caption: str, **settings: Any) -> str:
        return replace_text(caption, CaptionEdits(**settings))

    assert found("Gray cat, gray", find="gray", replace="grey") == "grey cat, grey"
    assert found("Gray cat", find="gray", replace="grey", match_case=True) == "Gray cat"
    assert found("a.b", find=".", replace=r"\1") == r"a\1b"
    assert found("long_hair, very long hair", find="Long hair", replace="hair",
                 find_as="whole tag") == "hair, very long hair"
    assert found("a, b, c", find="b", find_as="whole tag") == "a, c"
    assert found("3 cats", find=r"(\d) cats?", replace=r"\1 dogs",
                 find_as="regular expression") == "3 dogs"


@pytest.mark.parametrize(
    "pattern", [r"(a+)+$", r"(a|aa)+$", r"(a*)*b", r"(.*a){25}b", r"(a?){40}a{40}b"]
)
def test_patterns_that_would_hang_are_stopped(
    pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_kiln.dataset import patterns

    monkeypatch.setattr(patterns, "SECONDS_PER_CAPTION", 0.2)
    start = time.monotonic()
    edits = CaptionEdits(find=pattern, replace="x", find_as="regular expression")
    # Some of them are seen through at once, which is as well.
    with contextlib.suppress(ConfigError):
        assert replace_text("a" * 3000 + "!", edits) == "a" * 3000 + "!"
    assert time.monotonic() - start < 30


def test_a_stopped_pattern_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from lora_kiln.dataset import patterns

    monkeypatch.setattr(patterns, "SECONDS_PER_CAPTION", 0.1)
    edits = CaptionEdits(find=r"(a+)+$", replace="x", find_as="regular expression")
    with pytest.raises(ConfigError, match=r"takes more than 0\.1 s on 'aaaa"):
        replace_text("a" * 3000 + "!", edits)


def test_bad_patterns_say_so() -> None:
    for find, replace in (("(", ""), ("a" * 3000, "")):
        with pytest.raises(ConfigError, match="cannot be used"):
            CaptionEdits(find=find, replace=replace, find_as="regular expression")
    edits = CaptionEdits(find="(a)", replace=r"\2", find_as="regular expression")
    with pytest.raises(ConfigError, match="replacement"):
        replace_text("a", edits)
    with pytest.raises(ConfigError, match="several lines"):
        CaptionEdits(trigger="a\nb")


def test_nothing_left_but_the_trigger() -> None:
    edits = CaptionEdits(find="photo", trigger="t")
    assert [i.caption for i in edit_captions(dataset_of("photo", None), edits).items] == ["t", None]
    with pytest.raises(DatasetError, match=r"0\.png comes out empty"):
        edit_captions(dataset_of("photo"), CaptionEdits(find="photo"))


def test_datasets() -> None:
    dataset = dataset_of("hat", None, "cat")
    made = edit_captions(dataset, CaptionEdits(trigger="t"))
    assert [i.caption for i in made.items] == ["t, hat", None, "t, cat"]
    assert made.items[0].provenance == {"caption": {"edits": [{"trigger": "t"}]}}
    assert made.items[1].provenance == {}
    with pytest.raises(DatasetError, match=r"0\.png comes out empty"):
        edit_captions(dataset, CaptionEdits(remove_tags="hat"))


def test_preview() -> None:
    rows = [("a.png", "x", "y"), ("b.png", "z", "z"), ("c.png", "1", "2")]
    assert changes_text(rows, 1).splitlines() == [
        "2 of 3 captions change.", "a.png", "  - x", "  + y", "… and 1 more",
    ]
