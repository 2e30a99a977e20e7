"""What people write into an axis, and what they are told when it cannot be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.core.errors import ConfigError
from lora_kiln.sweep.axis import MOST_VALUES, AxisValues, axes, parse_numbers
from lora_kiln.sweep.cells import CellSettings


def parse(text: str) -> list[float]:
    return parse_numbers(text, low=-20.0, high=100.0, what="The axis")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0, .4, .8", [0, 0.4, 0.8]),
        ("0;0.5\n1,", [0, 0.5, 1]),
        ("0..1.6/9", [0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6]),
        ("0 .. 1 / 3", [0, 0.5, 1]),
        ("1-10[4]", [1, 4, 7, 10]),
        ("1-10(2)", [1, 3, 5, 7, 9]),
        ("0-1(0.1)", [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        ("-1--0.5[2]", [-1, -0.5]),
        ("-0.4-0.4[3]", [-0.4, 0, 0.4]),
        ("3..1/3", [3, 2, 1]),
        ("5..9/1", [5]),
        ("1, 1.0, +1", [1]),
        ("0..1/3, 2", [0, 0.5, 1, 2]),
    ],
)
def test_lists_and_ranges(text: str, expected: list[float]) -> None:
    assert parse(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "0 values"),
        (" , ;", "0 values"),
        ("0, zero", "'zero'"),
        ("0.4 0.8", "'0.4 0.8'"),
        ("nan", "'nan'"),
        ("1e3", "'1e3'"),
        ("101", "101"),
        ("9" * 400, "inf"),
        ("0..1/65", "65"),
        ("0..1/0", "asks for 0"),
        (f"0..1/{'9' * 5000}", "contains"),
        ("0-100(1)", "steps of 1"),
        ("0-1(0)", "steps of 0"),
        ("0-1(-1)", "steps of -1"),
        (",".join(str(n) for n in range(65)), "65 values"),
    ],
)
def test_errors_say_what_was_found_and_what_to_do(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as failure:
        parse(text)
    assert words in failure.value.found
    assert failure.value.expected
    assert failure.value.remedy


@given(st.text(alphabet="0123456789.,-+/[]() \n;ex", max_size=40))
def test_any_text_gives_numbers_or_a_told_error(text: str) -> None:
    try:
        values = parse(text)
    except ConfigError:
        return
    assert 1 <= len(values) <= MOST_VALUES
    assert all(-20 <= value <= 100 for value in values)
    assert len(set(values)) == len(values)


def test_every_axis_is_whole() -> None:
    assert {"strength", "cfg"} <= set(axes())
    for name, axis in axes().items():
        values = axis.parse(axis.default)
        assert axis.name == name
        assert hasattr(CellSettings(), axis.field)
        assert len({axis.label(value) for value in values}) == len(values)
        assert len(axis.doc) > 40
        assert AxisValues(name, tuple(values)).axis is axis
