"""The overview and the maps: everything inside the sheet, figures where they belong."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from lora_kiln.core import lettering
from lora_kiln.sweep.ink import (
    INK,
    PALE,
    PAPER,
    RUST,
    TEAL,
    font,
    round_values,
    short_text,
    write,
)
from lora_kiln.sweep.pareto import choose
from lora_kiln.sweep.score import Scored, compute_scores
from lora_kiln.sweep.score_maps import draw_maps
from lora_kiln.sweep.score_picture import draw_overview, settings_label
from lora_kiln.sweep.score_report import report_lines
from lora_kiln.sweep.score_table import score_columns, scored_rows
from lora_kiln.tests.sweep.score_cases import blobs, make_input, make_plan


@given(st.floats(-1e3, 1e3), st.floats(1e-4, 1e3))
def test_round_values_are_few_and_inside(low: float, length: float) -> None:
    values = round_values(low, low + length)
    assert 2 <= len(values) <= 8
    assert values == sorted(set(values))
    step = values[1] - values[0]
    assert values[0] >= low - step * 1e-3
    assert values[-1] <= low + length + step * 1e-3


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123, "0.12"), (-0.001, "0.00"), (-0.4, "-0.40"), (12.34, "12.3"), (-250.7, "-251")],
)
def test_figures_are_short(value: float, text: str) -> None:
    assert short_text(value) == text


def coloured(sheet: Image.Image, colour: str) -> int:
    rgb = tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return int((np.asarray(sheet) == rgb).all(-1).sum())


def border_is_paper(sheet: Image.Image) -> bool:
    pixels = np.asarray(sheet)
    paper = tuple(int(PAPER[place : place + 2], 16) for place in (1, 3, 5))
    edges = (pixels[:8], pixels[-8:], pixels[:, :8], pixels[:, -8:])
    return all(bool((edge == paper).all()) for edge in edges)


def scored_case(copies: bool = False) -> tuple[Any, Any, Any]:
    plan = make_plan((0.0, 0.5, 1.0, 1.5), seeds=(1, 2, 3), prompts=("long " * 99, "b"))
    pictures = {
        cell.index: blobs(cell.settings.seed, tint=(0, 0, round(60 * cell.settings.strength)))
        for cell in plan.cells
    }
    training = {f"{n}.png": blobs(n, tint=(0, 0, 90)) for n in range(40, 45)}
    if copies:
        pictures[11] = training["42.png"]
    given = make_input(plan, pictures, training)
    found, _ = compute_scores(given)
    return given, found, choose(given, found)


def test_the_overview_shows_the_shortlist_and_copies() -> None:
    def training(number: int) -> Image.Image:
        return blobs(40 + number)

    given, found, choice = scored_case()
    plain = draw_overview(given, found, choice, training, "a LoRA with a long name " * 20)
    assert border_is_paper(plain)
    assert len(choice.shortlist) >= 2
    given, found, choice = scored_case(copies=True)
    with_pair = draw_overview(given, found, choice, training, "a LoRA")
    assert with_pair.height > plain.height
    assert border_is_paper(with_pair)
    # The square of a copied setting and the heading of the pairs.
    assert coloured(with_pair, RUST) > coloured(plain, RUST)


def test_an_overview_of_nothing_but_strength_0() -> None:
    plan = make_plan((0.0,))
    given = make_input(plan, {0: blobs(1)})
    found, _ = compute_scores(given)
    sheet = draw_overview(given, found, choose(given, found), blobs, "nothing")
    assert border_is_paper(sheet)


def test_maps_have_a_place_for_every_cell() -> None:
    given, found, choice = scored_case()
    sheets = [draw_maps(given.plan, page, found, choice, "a LoRA") for page in (0, 1)]
    assert sheets[0].size == sheets[1].size
    assert all(border_is_paper(sheet) for sheet in sheets)
    one = {"structure": Scored({0: 0.0, 1: 1.0}), "burn": Scored({0: 0.0, 1: 0.0})}
    sheet = draw_maps(given.plan, 0, one, choice, "two")
    # The largest value in full colour; where all are equal nothing stands out.
    assert coloured(sheet, TEAL) > 500
    assert coloured(sheet, RUST) == 0
    assert coloured(sheet, PALE) > 500
    signed = {"colour_drift": Scored({0: -20.0, 1: 0.0, 2: 20.0})}
    sheet = draw_maps(given.plan, 0, signed, choice, "signed")
    assert coloured(sheet, RUST) > 500
    assert coloured(sheet, TEAL) > 500


def test_the_table_and_the_report() -> None:
    given, found, choice = scored_case(copies=True)
    rows = scored_rows([{"cell": n} for n in range(24)], found, choice)
    assert {tuple(row) for row in rows} == {
        ("cell", *score_columns(found), "on_front", "shortlist")
    }
    assert rows[0]["memorisation"] is None
    assert rows[11]["memorisation_picture"] == "42.png"
    assert {row["shortlist"] for row in rows} >= {None, 1}
    lines = report_lines(given.plan, choice, ["a note"])
    assert lines[1].startswith("1. strength ")
    assert " ± " in lines[1]
    assert lines[-1] == "a note"
    assert settings_label(given.plan, 5) == "strength 0.5"


def test_labels_of_any_length_and_writing() -> None:
    """Prompts are labels: as long as a book, in letters that Pillow's own font lacks, torn."""
    sheet = Image.new("RGB", (300, 60), PAPER)
    draw = ImageDraw.Draw(sheet)
    started = time.perf_counter()
    write(draw, "a very long prompt, " * 3000, (5, 5), 200, 14)
    assert time.perf_counter() - started < 1.0
    assert border_is_paper(sheet.crop((0, 0, 300, 30)).resize((300, 60)).crop((210, 0, 300, 60)))
    write(draw, "half a letter \ud83d and a break\nin it", (5, 35), 200, 14)
    assert (np.asarray(sheet)[35:50, 5:205] != np.asarray(sheet)[59, 299]).any()
    if any(map(lettering._is_there, lettering.OTHER_FONTS[:5])):
        boxes, letters = (Image.new("RGB", (60, 30), PAPER) for _ in range(2))
        ImageDraw.Draw(boxes).text((5, 5), "木版", fill=INK, font=font(14))
        write(ImageDraw.Draw(letters), "木版", (5, 5), 50, 14)
        assert boxes.tobytes() != letters.tobytes()
