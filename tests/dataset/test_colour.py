"""Names of colours."""

from __future__ import annotations

import pytest

from lora_kiln.core.errors import ConfigError
from lora_kiln.dataset.colour import hex_colour, parse_colour


def test_names_and_digits() -> None:
    assert parse_colour(" White ") == (255, 255, 255)
    assert parse_colour("gray") == parse_colour("grey") == (128, 128, 128)
    assert parse_colour("#0aF010") == (10, 240, 16)
    assert hex_colour("white") == hex_colour("#FFFFFF") == "#ffffff"


@pytest.mark.parametrize("text", ["", "transparent", "#fff", "#12345g", "ffffff"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="background colour"):
        parse_colour(text)
