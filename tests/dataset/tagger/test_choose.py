"""From probabilities to the words of a caption."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_kiln.core.errors import ConfigError
from lora_kiln.dataset.tagger.choose import KAOMOJI, choose_tags
from lora_kiln.dataset.tagger.settings import TagSettings
from lora_kiln.dataset.tagger.table import TagTable

ROWS: tuple[tuple[str, str, float], ...] = (
    ("general", "rating", 0.2), ("explicit", "rating", 0.9), ("long_hair", "general", 0.6),
    ("1girl", "general", 0.95), ("saber_(fate)", "character", 0.9), (">_<", "general", 0.7),
    ("artoria", "character", 0.86), ("hat", "general", 0.34), ("some_artist", "other", 0.5),
)
TABLE = TagTable(tuple(row[0] for row in ROWS), tuple(row[1] for row in ROWS))
VALUES = np.array([row[2] for row in ROWS], dtype=np.float32)


def words(**changes: Any) -> list[str]:
    chosen = TagSettings(**changes)
    return list(choose_tags(VALUES, TABLE, chosen, chosen.general_threshold).words)


PLAIN = ["1girl", "saber (fate)", "artoria", ">_<", "long hair", "some artist"]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, PLAIN),
        ({"general_threshold": 0.3}, [*PLAIN, "hat"]),
        ({"character_threshold": 0.87}, [word for word in PLAIN if word != "artoria"]),
        ({"characters": "off"}, ["1girl", ">_<", "long hair", "some artist"]),
        ({"characters": "first"}, ["saber (fate)", "artoria", "1girl", *PLAIN[3:]]),
        ({"order": "category first"}, ["saber (fate)", "artoria", "1girl", *PLAIN[3:]]),
        ({"order": "alphabetical"}, sorted(PLAIN)),
        (
            {"order": "alphabetical", "characters": "first"},
            ["artoria", "saber (fate)", "1girl", ">_<", "long hair", "some artist"],
        ),
        ({"rating": "as tag"}, [*PLAIN, "explicit"]),
        ({"rating": "as tag", "blacklist": "explicit"}, PLAIN),
        ({"rating": "as column"}, PLAIN),
        ({"blacklist": "Long Hair,\n saber_(fate)"}, ["1girl", "artoria", ">_<", "some artist"]),
        (
            {"replace_underscores": False},
            ["1girl", "saber_(fate)", "artoria", ">_<", "long_hair", "some_artist"],
        ),
        ({"escape_brackets": True}, ["1girl", "saber \\(fate\\)", *PLAIN[2:]]),
    ],
)
def test_words(changes: dict[str, Any], wanted: list[str]) -> None:
    assert words(**changes) == wanted


def test_rating_and_probabilities_are_told() -> None:
    chosen = choose_tags(VALUES, TABLE, TagSettings(separator="; "), 0.9)
    assert chosen.rating == "explicit"
    assert chosen.text("; ") == "1girl; saber (fate); artoria"
    assert chosen.probabilities == {"1girl": 0.95, "saber_(fate)": 0.9, "artoria": 0.86}
    bare = TagTable(("x",), ("general",))
    assert choose_tags(np.array([0.9]), bare, TagSettings(rating="as tag"), 0.5).rating == ""


NAMES = [*sorted(KAOMOJI), "a_b", "a b", "A_B", "_", "c"]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.booleans()), max_size=10))
def test_every_taken_tag_is_written_once(rows: list[tuple[str, bool]]) -> None:
    table = TagTable(tuple(name for name, _ in rows), ("general",) * len(rows))
    values = np.array([float(taken) for _, taken in rows], dtype=np.float32)
    found = choose_tags(values, table, TagSettings(), 0.5).words
    assert len(set(found)) == len(found)
    assert all(word.strip() for word in found)
    assert KAOMOJI & {name for name, taken in rows if taken} == KAOMOJI & set(found)


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="separator is empty"):
        TagSettings(separator="")
    with pytest.raises(ConfigError, match=r"general_threshold is 0\.0"):
        TagSettings(general_threshold=0.0)
