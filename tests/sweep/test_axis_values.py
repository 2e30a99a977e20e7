"""What people write into a numeric axis, and what they are told when it cannot be read."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lora_kiln.core.errors import ConfigError
from lora_kiln.sweep.axis_values import (
    DIGITS,
    MOST_VALUES,
    number_text,
    parse_numbers,
    parse_whole_numbers,
)

TENTHS = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
DECIMALS = st.decimals(min_value=-20, max_value=100, places=4)


def parse(text: str) -> list[float]:
    return parse_numbers(text, low=-20.0, high=100.0, what="The axis")


def parse_whole(text: str) -> list[int]:
    return parse_whole_numbers(text, low=0, high=2**63, what="The axis")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0, .4, .8", [0, 0.4, 0.8]),
        ("0;0.5\n1,", [0, 0.5, 1]),
        ("0..1.6/9", [0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6]),
        ("0-1.6[9]", [0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6]),
        ("0 .. 1 / 3", [0, 0.5, 1]),
        ("0..1/11", TENTHS),
        ("0-1(0.1)", TENTHS),
        ("1-10[4]", [1, 4, 7, 10]),
        ("1-10[5]", [1, 3.25, 5.5, 7.75, 10]),
        ("1-10(2)", [1, 3, 5, 7, 9]),
        ("1-10 (+2)", [1, 3, 5, 7, 9]),
        ("10-5 (-3)", [10, 7]),
        ("5-5(1)", [5]),
        ("-1--0.5[2]", [-1, -0.5]),
        ("-1..-.5/2", [-1, -0.5]),
        ("-0.4-0.4[3]", [-0.4, 0, 0.4]),
        ("1--1(-1)", [1, 0, -1]),
        ("3..1/3", [3, 2, 1]),
        ("5..9/1", [5]),
        ("2..2/5", [2]),
        ("1, 1.0, +1, 1.", [1]),
        ("-0, 0", [0]),
        ("1, 0, 0..1/3, 1, 2", [1, 0, 0.5, 2]),
        ("-1.2, 0..0.2/2, 1-3 (+1), 8-9[2]", [-1.2, 0, 0.2, 1, 2, 3, 8, 9]),
        ("0..1/4", [0, 0.333333, 0.666667, 1]),
        ("0.12345678, .12345679", [0.12345678, 0.12345679]),
    ],
)
def test_lists_and_ranges_are_exact(text: str, expected: list[float]) -> None:
    values = parse(text)
    assert values == expected
    assert parse(", ".join(map(repr, values))) == values


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "0 values"),
        (" , ;", "0 values"),
        ("0, zero", "'zero'"),
        ("0.4 0.8", "'0.4 0.8'"),
        ("1-5", "'1-5'"),
        ("0..1", "'0..1'"),
        ("nan", "'nan'"),
        ("1e3", "'1e3'"),
        ("\N{ARABIC-INDIC DIGIT THREE}", "contains"),
        ("101", "101"),
        ("0..200/3", "value 200 in '0..200/3'"),
        ("-21..0/2, 1", "value -21 in '-21..0/2'"),
        ("9" * 400, "9…'"),
        ("0..1/65", "asks for 65 values in '0..1/65'"),
        ("1, 0..1/0", "asks for 0 values in '0..1/0'"),
        (f"0..1/{'9' * 5000}", "contains"),
        ("0-100(1)", "101 values in '0-100(1)'"),
        ("0-9(0.00000001)", "millions of values"),
        ("0-1(0)", "never arrives in '0-1(0)'"),
        ("0-1(-1)", "never arrives in '0-1(-1)'"),
        ("1-0(1)", "never arrives in '1-0(1)'"),
        (",".join(str(n) for n in range(65)), "65 values"),
        ("0..1/64, 2..3/64", "128 values"),
    ],
)
def test_errors_say_what_was_found_and_what_to_do(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as failure:
        parse(text)
    assert words in failure.value.found
    assert failure.value.found.startswith("The axis ")
    assert len(failure.value.found) < 120
    assert failure.value.expected
    assert failure.value.remedy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0, 7, 9223372036854775807", [0, 7, 2**63 - 1]),
        ("9223372036854775800-9223372036854775807 (+3)", [2**63 - 8, 2**63 - 5, 2**63 - 2]),
        ("10..40/4", [10, 20, 30, 40]),
        ("1-10[5]", [1, 3, 6, 8, 10]),
        ("0..1/5", [0, 1]),
    ],
)
def test_whole_numbers_are_exact_however_large(text: str, expected: list[int]) -> None:
    values = parse_whole(text)
    assert values == expected
    assert all(type(value) is int for value in values)


@pytest.mark.parametrize("text", ["1.5", "0-1(0.5)", "0.5..3/2"])
def test_whole_numbers_have_no_decimals(text: str) -> None:
    with pytest.raises(ConfigError, match="Write it without decimals"):
        parse_whole(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-0.5, "-0.5"), (7.0, "7"), (100.0, "100"), (1e-05, "0.00001"), (0.1 + 0.2,
     "0.30000000000000004"), (2**63 - 1, "9223372036854775807")],
)
def test_labels_are_what_can_be_typed(value: float, text: str) -> None:
    assert number_text(value) == text


@given(st.text(alphabet="0123456789.,-+/[]() \n;ex", max_size=40))
def test_any_text_gives_numbers_or_a_told_error(text: str) -> None:
    try:
        values = parse(text)
    except ConfigError:
        return
    assert 1 <= len(values) <= MOST_VALUES
    assert all(-20 <= value <= 100 for value in values)
    assert len(set(values)) == len(values)


@given(st.lists(DECIMALS, min_size=1, max_size=MOST_VALUES), st.sampled_from([",", ", ", "\n"]))
def test_lists_come_back_as_they_were(values: list[Decimal], between: str) -> None:
    found = parse(between.join(f"{value:f}" for value in values))
    assert found == list(dict.fromkeys(float(value) for value in values))
    assert parse(between.join(map(number_text, found))) == found


@given(DECIMALS, DECIMALS, st.integers(2, MOST_VALUES))
def test_counted_ranges_go_from_end_to_end(first: Decimal, last: Decimal, count: int) -> None:
    assume(abs(last - first) > Decimal("0.001"))
    values = parse(f"{first:f}..{last:f}/{count}")
    assert values == parse(f"{first:f}-{last:f}[{count}]")
    assert (values[0], values[-1], len(values)) == (float(first), float(last), count)
    even = float(last - first) / (count - 1)
    assert all(two - one == pytest.approx(even, abs=2.1 * 10**-DIGITS)
               for one, two in pairwise(values))
    # What a label shows, typed again, is the same value.
    assert parse(", ".join(map(number_text, values))) == values


@given(DECIMALS, st.decimals(min_value="0.01", max_value=5, places=2), st.integers(1, MOST_VALUES),
       st.sampled_from([1, -1]))
def test_steps_are_exact(first: Decimal, step: Decimal, count: int, way: int) -> None:
    wanted = [first + way * step * index for index in range(count)]
    last = wanted[-1] + way * step / 2
    assume(min(last, *wanted) >= -20 and max(last, *wanted) <= 100)
    assert parse(f"{first:f}-{last:f}({way * step:+f})") == [float(value) for value in wanted]
