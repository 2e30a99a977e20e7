"""Text in pictures: whatever it is, it fits, and nothing is lost that had room."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from lora_kiln.core.lettering import LONGEST_TEXT, draw_lines, one_line, text_width, wrapped


@settings(max_examples=80)
@given(st.text(max_size=300), st.integers(0, 400), st.integers(1, 6))
def test_any_text_fits_any_room(text: str, width: int, most: int) -> None:
    lines = wrapped(text, width, most_lines=most, size=17)
    assert 1 <= len(lines.lines) <= most
    assert 11 <= lines.size <= 17
    draw = ImageDraw.Draw(Image.new("RGB", (width + 1, lines.height_px)))
    draw_lines(draw, lines, (0, 0), "white")
    assert lines.width_px <= width + 1
    joined = "".join(lines.lines).replace(" ", "")
    clean = one_line(text).replace(" ", "")
    assert clean.startswith(joined.removesuffix("…"))


@given(st.lists(st.text("abcdefgh", min_size=1, max_size=8), min_size=1, max_size=12))
def test_words_are_parted_at_spaces_where_there_is_room(words: list[str]) -> None:
    text = " ".join(words)
    lines = wrapped(text, 120, most_lines=40, size=17)
    assert lines.size == 17
    assert " ".join(lines.lines) == text


def test_what_cannot_be_drawn_is_left_out() -> None:
    assert one_line(" a\r\n\tb\x00\x1b c\ud800 ") == "a b c?"
    assert len(one_line("x" * 10**6)) == LONGEST_TEXT
    assert text_width("", 17) == 0


@pytest.mark.parametrize("letter", ["w", "w ", "画", "🐱", "ש"])
def test_long_texts_take_no_time(letter: str) -> None:
    started = time.process_time()
    wrapped(letter * 100_000, 150, most_lines=3, size=17)
    assert time.process_time() - started < 1.0
