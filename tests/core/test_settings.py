"""A wrong setting is told with field, value, range and remedy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest

from lora_kiln.core.errors import ConfigError, KilnError, shorten
from lora_kiln.core.settings import (
    as_dict,
    digest,
    from_dict,
    identity_dict,
    setting,
    validate,
)


@dataclass(frozen=True, kw_only=True)
class Oven:
    """Made-up settings."""

    heat: float = setting(200.0, doc="How hot.", minimum=50, maximum=300)
    shelves: int = setting(doc="How many shelves.", minimum=1)
    fuel: str = setting("gas", doc="What burns.", choices=("gas", "wood"))
    light: bool = setting(False, doc="Whether it is lit.", identity=False, maximum=0)
    tilt: float = setting(0.0, doc="Slope.", maximum=5)
    free: float = setting(0.0, doc="Anything.")

    def __post_init__(self) -> None:
        validate(self)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            {"heat": 20},
            "heat is 20. Expected a number from 50 to 300. "
            "Set heat within this range; the default is 200.0.",
        ),
        (
            {"shelves": 0},
            "shelves is 0. Expected a number of at least 1. "
            "Set shelves within this range; there is no default.",
        ),
        (
            {"fuel": "coal"},
            "fuel is 'coal'. Expected one of gas, wood. Set fuel to one of these words.",
        ),
        ({"tilt": 6}, "tilt is 6. Expected a number of at most 5. "
         "Set tilt within this range; the default is 0.0."),
        ({"heat": math.nan}, "heat is nan. Expected a number from 50 to 300. "
         "Set heat within this range; the default is 200.0."),
        ({"free": math.inf}, "free is inf. Expected a number that is finite. "
         "Set free within this range; the default is 0.0."),
    ],
)
def test_what_is_wrong_is_told_in_full(values: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Oven(**{"shelves": 1, **values})
    assert str(caught.value) == text


def test_the_ends_of_a_range_belong_to_it() -> None:
    assert Oven(shelves=1, heat=50).heat == 50
    assert Oven(shelves=1, heat=300, light=True).light is True


def test_there_and_back() -> None:
    oven = Oven(shelves=3, fuel="wood")
    assert from_dict(Oven, as_dict(oven)) == oven
    with pytest.raises(ConfigError, match=r"Unknown setting shelfs\. Expected names among free"):
        from_dict(Oven, {"shelfs": 3})


def test_identity_leaves_out_what_does_not_decide() -> None:
    lit, dark = Oven(shelves=3, light=True), Oven(shelves=3)
    assert identity_dict(lit) == identity_dict(dark)
    assert "light" in as_dict(lit)
    assert identity_dict(Oven(shelves=4)) != identity_dict(dark)


def test_digest_is_canonical() -> None:
    assert digest({"b": 1, "a": [1, "ü"]}) == digest({"a": [1, "ü"], "b": 1})
    assert digest({"a": 1}) != digest({"a": "1"})
    assert digest({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"


def test_errors_close_every_sentence_once() -> None:
    error = KilnError("The folder is empty.", expected="pictures", remedy="Add some... ")
    assert str(error) == "The folder is empty. Expected pictures. Add some."
    assert (error.found, error.remedy) == ("The folder is empty.", "Add some... ")
    assert isinstance(error, ValueError)
    assert shorten(list("abcdefg")) == "a, b, c and 4 more"
    assert shorten(["a"]) == "a"
