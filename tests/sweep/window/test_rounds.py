"""Whole searches over several subjects, with pictures that fall apart as they are told to."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lora_kiln.benchmarks.window import falling
from lora_kiln.core.errors import ConfigError
from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import Cell
from lora_kiln.sweep.window.answer import common_answer, document_of, report_of, rows_of
from lora_kiln.sweep.window.plot import HEIGHT_PX, WIDTH_PX, draw_plot
from lora_kiln.sweep.window.rounds import Hunt, Subject
from lora_kiln.sweep.window.safe_map import draw_safe_map
from lora_kiln.sweep.window.search import Search
from lora_kiln.sweep.window.strip import draw_strip
from lora_kiln.sweep.window.subject import subject_score

WINDOWS = {("a", 3.0): (0.7, 0.9), ("b", 3.0): (1.0, 1.2), ("a", 7.0): (0.4, 0.55)}


def draw(cell: Cell) -> Image.Image:
    """The base of prompt and seed, dissolving into another picture at its window."""
    own = cell.settings
    kept = falling(*WINDOWS[own.prompt, own.cfg])(own.strength)
    chance = np.random.default_rng([ord(own.prompt), own.seed])
    base, other = chance.integers(0, 256, (2, 12, 12, 3)).astype(np.uint8)
    mixed = base * kept + other * (1 - kept)
    return Image.fromarray(mixed.astype(np.uint8)).resize((96, 64), Image.Resampling.NEAREST)


@pytest.fixture(scope="module")
def hunt() -> Hunt:
    subjects = [Subject(*key) for key in WINDOWS]
    base = CellSettings(seed=5, width_px=96, height_px=64)
    made = Hunt(base, subjects, 2, Search(), subject_score(None))
    while cells := made.next_cells():
        made.tell(cells, {c.index: draw(c) for c in cells if c.index != 3})
    return made


def test_each_subject_has_its_window(hunt: Hunt) -> None:
    windows = hunt.windows()
    for window, (last, first) in zip(windows, WINDOWS.values(), strict=True):
        assert last - 0.1 < window.last_coherent < first
        assert window.first_broken is not None
        assert last < window.first_broken < first + 0.1
    answer = common_answer(windows)
    assert answer.last_coherent == windows[2].last_coherent
    assert answer.first_broken == windows[2].first_broken
    assert answer.recommended == min(window.recommended for window in windows)


def test_cells_are_numbered_once_and_stay_in_the_budget(hunt: Hunt) -> None:
    assert [cell.index for cell in hunt.cells] == list(range(len(hunt.cells)))
    assert len(hunt.cells) <= hunt.most_cells == 3 * 2 * 13
    assert {cell.settings.seed for cell in hunt.cells} == {5, 6}
    bases = [n for n, cell in enumerate(hunt.cells) if cell.settings.strength == 0]
    assert {hunt.scores[n] for n in bases} == {1.0}


def test_a_picture_that_could_not_be_drawn_is_left_out(hunt: Hunt) -> None:
    assert 3 not in hunt.scores
    assert rows_of(hunt)[0]["score"] == 1.0
    assert [row["score"] for row in rows_of(hunt) if row["cell"] == 3] == [""]


def test_a_seed_without_its_base_counts_for_nothing() -> None:
    made = Hunt(CellSettings(), [Subject("a", 3.0)], 2, Search(), subject_score(None))
    cells = made.next_cells()
    made.tell(cells, {c.index: draw(c) for c in cells if c.row or c.settings.strength})
    assert {own.seed for own in made.observed(0)} == {1}
    blind = Hunt(CellSettings(), [Subject("a", 3.0)], 1, Search(), subject_score(None))
    blind.tell(blind.next_cells(), {})
    assert blind.next_cells() == ()


def test_the_report_and_the_document_hold_everything(hunt: Hunt) -> None:
    answer = common_answer(hunt.windows())
    report = report_of(hunt, answer, ["all keys matched"])
    assert report.startswith(f"Recommended strength {answer.recommended:g}\n")
    assert "CFG 7: a" in report
    assert report.endswith("all keys matched")
    document = document_of(hunt, answer)
    assert [own["verdict"] for own in document["subjects"]] == [w.verdict for w in answer.windows]
    counted = sum(len(own["observations"]) for own in document["subjects"])
    assert counted == len(hunt.scores) == len(hunt.cells) - 1


def test_pictures_are_drawn_for_every_verdict(hunt: Hunt) -> None:
    windows = hunt.windows()
    sizes = set()
    for number, window in enumerate(windows):
        plot = draw_plot(hunt.observed(number), window, hunt.search, "A long title " * 20)
        assert plot.size == (WIDTH_PX, HEIGHT_PX)
        assert len(plot.getcolors(1 << 20) or ()) > 100
        cells = [cell for cell in hunt.cells if cell.page == number]
        pictures = {cell.index: draw(cell) for cell in cells if cell.index in hunt.scores}
        sizes.add(draw_strip(cells, pictures, hunt.scores, window, "title", 13).size)
    assert len(sizes) == 1
    assert draw_safe_map(hunt, windows, "map").size == (WIDTH_PX, HEIGHT_PX)


def test_a_seed_whose_base_failed_is_not_drawn_on() -> None:
    made = Hunt(CellSettings(), [Subject("a", 3.0)], 2, Search(), subject_score(None))
    cells = made.next_cells()
    made.tell(cells, {c.index: draw(c) for c in cells if c.row or c.settings.strength})
    assert {cell.row for cell in made.next_cells()} == {1}


def test_a_search_without_seeds_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 seeds"):
        Hunt(CellSettings(), [Subject("a", 3.0)], 0, Search(), subject_score(None))


def test_the_report_counts_what_was_drawn_and_says_what_is_not_certain() -> None:
    made = Hunt(CellSettings(), [Subject("a", 3.0)], 2, Search(), subject_score(None))
    cells = made.next_cells()
    made.tell(cells, {c.index: draw(c) for c in cells if c.settings.strength < 0.5})
    answer = common_answer(made.windows())
    report = report_of(made, answer)
    assert "\n4 pictures" in report
    assert "10 are missing" in report
    assert "Do not rely on it yet: 1 of 1 windows too uncertain" in report
    (window,) = answer.windows
    pictures = {c.index: draw(c) for c in cells if c.index in made.scores}
    plot = draw_plot(made.observed(0), window, made.search, "title")
    strip = draw_strip(cells, pictures, made.scores, window, "title", 7)
    # Neither green nor red where nothing is known.
    assert plot.getpixel((1000, 300)) == plot.getpixel((5, 300))
    assert strip.size[0] > 7 * 200
