"""Filters of variables in caption templates."""

from __future__ import annotations

import numpy as np
import pytest

from lora_kiln.core.errors import ConfigError, DatasetError
from lora_kiln.dataset.captions import apply_template, parse_template
from lora_kiln.dataset.items import Dataset, DatasetItem, PictureArray

PIXELS = np.zeros((2, 2, 3), dtype=np.uint8)
ITEM = DatasetItem(
    "a", PictureArray("a", PIXELS), "One, Two ,, three. Four of 3.5 kg! Five", "Old Man",
    columns={"mood": "Calm", "a|b": "bar", "mood|lower": "written so"},
)
BARE = DatasetItem("b", PictureArray("b", PIXELS))


def fill(template: str, item: DatasetItem = ITEM) -> str | None:
    return apply_template(Dataset((item,), "x"), template).items[0].caption


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("{caption|tags:2}", "One, Two"),
        ("{caption|tags:12}", "One, Two, three. Four of 3.5 kg! Five"),
        ("{ caption | tags:2 | lower }", "one, two"),
        ("{caption|first_sentence}", "One, Two ,, three."),
        ("{caption|first_sentence|tags:1|lower}", "one"),
        ("{caption|words:4}", "One, Two ,, three."),
        ("{subject|lower}", "old man"),
        ("{mood|default:grim}", "Calm"),
        ("{year|default:1910}", "1910"),
        ("{year|default:The Past|lower}", "the past"),
        # Columns may be called anything.
        ("{a|b}", "bar"),
        ("{mood|lower}", "written so"),
    ],
)
def test_filters(template: str, wanted: str) -> None:
    assert fill(template) == wanted


def test_without_a_value_filters_do_not_help() -> None:
    message = r"\{caption\|tags:3\} has no value for b.*filters tags:12.*\.txt"
    with pytest.raises(DatasetError, match=message):
        fill("{caption|tags:3}", BARE)
    with pytest.raises(DatasetError, match=r"\{caption\|tag:3\} has no value for a"):
        fill("{caption|tag:3}")
    # A filter that leaves nothing is a hole in the caption, too.
    commas = DatasetItem("c", PictureArray("c", PIXELS), " ,, ")
    with pytest.raises(DatasetError, match=r"\{caption\|tags:3\} has no value for c"):
        fill("{caption|tags:3}", commas)


@pytest.mark.parametrize("count", ["0", "-1", "x", "", "1.5", "²"])
def test_numbers_are_checked_before_the_graph_runs(count: str) -> None:
    with pytest.raises(ConfigError, match=f"filter tags:{count}"):
        parse_template(f"{{caption|tags:{count}}}")
