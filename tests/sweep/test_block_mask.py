"""One line says where a LoRA is applied; a wrong line says why it cannot be read."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.core.errors import ConfigError
from lora_kiln.lora_format.family import families
from lora_kiln.sweep.block_mask import HIGHEST_BLOCK, BlockMask, read_mask

SDXL = [*(f"in{n}" for n in range(9)), "mid", *(f"out{n}" for n in range(9)), "other"]
PARTS = st.sampled_from(["in4", "in", "in*", "mid", "out0-2", "out0-out8", "*", "other", "in0 - 3"])
FACTORS = st.decimals(min_value=-20, max_value=20, places=3)


def factors(text: str, labels: list[str] = SDXL) -> dict[str, float]:
    mask = read_mask(text)
    mask.check(labels)
    return {label: mask.factor(label) for label in labels}


def where(text: str) -> list[str]:
    """Labels that a mask of zeros and ones keeps."""
    own = factors(text)
    assert set(own.values()) <= {0.0, 1.0}
    return [label for label, factor in own.items() if factor]


@pytest.mark.parametrize("text", ["", "  ", "all", " ALL ", "*=1", "only *", "in=1"])
def test_all_is_everywhere(text: str) -> None:
    assert where(text) == SDXL
    assert read_mask(text).rest == 1 or text == "only *"
    assert read_mask("") == BlockMask()
    assert read_mask("in=1").is_everywhere
    assert not read_mask("only in").is_everywhere


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("only in4, out0-out2", ["in4", "out0", "out1", "out2"]),
        ("only in4,out0-2", ["in4", "out0", "out1", "out2"]),
        ("Only  Mid", ["mid"]),
        ("only in", SDXL[:9]),
        ("only in*, mid, other", [*SDXL[:10], "other"]),
        ("only in07", ["in7"]),
        ("only *, mid=0", [label for label in SDXL if label != "mid"]),
        ("not mid", [label for label in SDXL if label != "mid"]),
        ("without in, out", ["mid", "other"]),
        ("not *", []),
    ],
)
def test_blocks_are_kept_or_left_out(text: str, kept: list[str]) -> None:
    assert where(text) == kept


def test_factors_hold_where_they_are_given_and_later_ones_hold_over_earlier() -> None:
    own = factors("in=0.5, mid=0, out0-2=1.2, in3=-.25")
    assert own["in0"] == own["in8"] == 0.5
    assert own["in3"] == -0.25
    assert own["mid"] == 0
    assert own["out0"] == own["out2"] == 1.2
    assert own["out3"] == own["other"] == 1
    assert factors("*=0.5, mid=1") == {**dict.fromkeys(SDXL, 0.5), "mid": 1.0}
    assert factors("only in=0.5, mid") == {
        label: 0.5 if label.startswith("in") else float(label == "mid") for label in SDXL
    }


def test_a_name_means_whole_names_only() -> None:
    """``in`` is not the beginning of ``inner``, nor ``in1`` that of ``in10``."""
    assert read_mask("only in1").factor("in10") == 0
    assert read_mask("only in").factor("inner3") == 0
    assert read_mask("only noise_refiner").factor("noise_refiner1") == 1


@pytest.mark.parametrize("family", sorted(families()))
def test_every_family_has_blocks_that_can_be_named(family: str) -> None:
    """All labels that training gives can be written in a mask, alone and together."""
    pairs = families()[family].training.blocks
    labels = [label + ("3" if re.compile(pattern).groups else "") for pattern, label in pairs]
    for label in [*labels, "other"]:
        mask = read_mask(f"only {label}")
        mask.check([*labels, "other"])
        assert [own for own in [*labels, "other"] if mask.factor(own)] == [label]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("in4", "'in4'"),
        ("only", "'only'"),
        ("only in4,", "''"),
        ("not mid=0.5", "'not mid=0.5'"),
        ("in4 out0=1", "'in4 out0=1'"),
        ("mid=", "'mid='"),
        ("mid=half", "'mid=half'"),
        ("mid=1e3", "'mid=1e3'"),
        ("mid=nan", "'mid=nan'"),
        ("mid=20.5", "'mid=20.5'"),
        ("only out5-2", "'out5-2'"),
        ("only in0-out3", "'in0-out3'"),
        ("only in1000", "'in1000'"),
        ("only 4", "'4'"),
        ("only in1*", "'in1*'"),
        ("x" * 2000, "…"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, shown: str) -> None:
    with pytest.raises(ConfigError) as failure:
        read_mask(text)
    assert shown in failure.value.found
    assert len(failure.value.found) < 120
    assert "only in4" in failure.value.expected


def test_blocks_that_the_model_lacks_are_named_with_those_it_has() -> None:
    with pytest.raises(ConfigError, match=r"layer5, in12.*in0, in1"):
        read_mask("layer5=0, mid=0.5, in12=0, out=1").check(SDXL)
    with pytest.raises(ConfigError, match="double"):
        read_mask("not double").check(SDXL)
    read_mask("").check([])
    read_mask("not *, in0-in8").check(SDXL)


@given(st.text(alphabet="onlytwihuimd _-*=,.0123456789+\n", max_size=40))
def test_any_text_is_a_mask_or_a_told_error(text: str) -> None:
    try:
        mask = read_mask(text)
    except ConfigError:
        return
    assert all(abs(mask.factor(label)) <= 20 for label in SDXL)
    assert len(mask.rules) <= 1000 * (HIGHEST_BLOCK + 1)


@given(st.lists(st.tuples(PARTS, FACTORS), min_size=1, max_size=6))
def test_the_last_rule_that_covers_a_block_holds(rules: list[tuple[str, object]]) -> None:
    mask = read_mask(", ".join(f"{part}={factor:f}" for part, factor in rules))
    wanted = dict.fromkeys(SDXL, 1.0)
    for part, factor in rules:
        for label in where(f"only {part}"):
            wanted[label] = float(factor)  # type: ignore[arg-type]
    assert {label: mask.factor(label) for label in SDXL} == wanted


@given(PARTS, PARTS)
def test_not_is_the_opposite_of_only(one: str, two: str) -> None:
    assert set(where(f"not {one}, {two}")) == set(SDXL) - set(where(f"only {one}, {two}"))
