"""The drawn world is a function of its seed, and the style set is as described."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from lora_kiln.demo.draw import draw_any

STYLE = Path(__file__).resolve().parents[2] / "demo" / "style"


@pytest.mark.parametrize("seed", range(12))
def test_a_picture_is_made_again_from_its_seed(seed: int) -> None:
    first, caption = draw_any(96, 160, Random(seed))
    second, same_caption = draw_any(96, 160, Random(seed))
    assert first.size == (96, 160)
    assert caption == same_caption
    assert np.array_equal(np.asarray(first), np.asarray(second))
    assert len(first.getcolors(1 << 24) or []) > 10  # Edges are smooth.


def test_the_style_set_is_mixed() -> None:
    pictures = sorted(p for p in STYLE.iterdir() if p.suffix != ".txt")
    assert len(pictures) == 12
    sizes, modes, turned = set(), set(), 0
    for path in pictures:
        with Image.open(path) as picture:
            sizes.add(picture.size)
            modes.add(picture.mode)
            turned += picture.getexif().get(0x0112, 1) != 1
        caption = path.with_suffix(".txt").read_text("utf-8")
        assert caption.startswith("kilnprint, ")
        assert "blue" not in caption
    assert len(sizes) >= 8
    assert modes == {"RGB", "RGBA"}
    assert turned == 1
