"""Alpha outside of tensors: PEFT's rules, held against PEFT's own, and settings by strangers."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_kiln.lora_format.scales import METADATA_KEY, Scales, scales_of

WORDS = st.lists(st.sampled_from(("proj_out", "blocks", "0", "1", "to_q")), min_size=1, max_size=4)
NAMES = WORDS.map(".".join)


@settings(max_examples=300, deadline=None)
@given(
    name=NAMES,
    patterns=st.dictionaries(
        st.tuples(st.sampled_from(("", "^", r"(?<!\.)")), NAMES, st.sampled_from(("", "$"))),
        st.integers(1, 9), max_size=6,
    ),
)
def test_patterns_mean_what_peft_means(
    name: str, patterns: dict[tuple[str, str, str], int]
) -> None:
    other = pytest.importorskip("peft.utils.other")
    flat = {start + text.replace(".", r"\.") + end: value
            for (start, text, end), value in patterns.items()}
    key = other.get_pattern_key(flat.keys(), name)
    wanted = flat.get(key, 16)
    scales = Scales({"": {"r": 8, "lora_alpha": 16, "alpha_pattern": flat}})
    assert not scales.unread
    assert scales.alpha(name, 8) == wanted


@pytest.mark.parametrize(
    "alpha",
    ["9" * 400, "1e999", "-1e999", "NaN", "Infinity", "null", "true", '"8"', "[8]", "{}", "1e300"],
)
def test_absurd_alphas_are_none(alpha: str) -> None:
    text = f'{{"unet.lora_alpha": {alpha}, "unet.r": {alpha}, "unet.use_rslora": true}}'
    scales = scales_of({METADATA_KEY: text}, None)
    assert scales.alpha("unet.a.b", 8) == 8
    assert scales.whole("unet.a.b") == 1


@pytest.mark.parametrize("value", [None, 1, "x", [], [["a", 1]], {"a": {"b": 1}}])
def test_absurd_patterns_are_none(value: Any) -> None:
    scales = scales_of({METADATA_KEY: json.dumps({"unet.alpha_pattern": value})}, None)
    assert scales.alpha("unet.a", 4) == 4


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "1", "null", '"x"', "[" * 100_000, '{"a":' * 50_000, "\x00", "9" * 5000],
)
def test_settings_that_are_none(text: str) -> None:
    assert not scales_of({METADATA_KEY: text}, None).known


PATTERNS = json.dumps({"unet.alpha_pattern": {f"x{number}": 1 for number in range(200_000)}})
LARGE = {
    "patterns": PATTERNS,
    "expressions": PATTERNS.replace("x", "x*"),
    "prefixes": json.dumps({f"p{number}.r": 1 for number in range(250_000)}),
    "more_than_the_limit": '{"unet.lora_alpha": 1' + " " * (5 << 20) + "}",
}


@pytest.mark.parametrize("name", LARGE)
def test_large_settings_take_little_time(name: str) -> None:
    start = time.process_time()
    scales = scales_of({METADATA_KEY: LARGE[name]}, None)
    for number in range(2000):
        assert scales.alpha(f"unet.blocks.{number}.proj", 4) == 4
    assert len(str(scales.unread[:3])) < 400
    assert time.process_time() - start < 1


def test_messages_show_no_control_characters() -> None:
    text = json.dumps({"unet.alpha_pattern": {"\x1b[2J(a|b)": 1}})
    assert scales_of({METADATA_KEY: text}, None).unread == ["?[2J(a|b)"]
