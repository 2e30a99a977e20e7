"""The search with a real model behind it: files, Cancel, failures, and a dense sweep's answer."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageColor

from lora_kiln.core.errors import HostError
from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import Cell
from lora_kiln.sweep.live_sheet import PAPER
from lora_kiln.sweep.window.rounds import Subject
from lora_kiln.sweep.window.search import Search


def request_of(**changes: Any) -> Any:
    from lora_kiln.host.find_strength import FindRequest

    base = CellSettings(seed=3, steps=2, width_px=64, height_px=64)
    fields: dict[str, Any] = {
        "base": base, "subjects": (Subject("a star", 4.0),), "seeds": 2,
        "search": Search(budget=6), "lora_name": "some.safetensors", "prefix": "found",
    }  # fmt: skip
    return FindRequest(**{**fields, **changes})


def fading(cells: Sequence[Cell]) -> dict[int, Image.Image]:
    """Pictures that turn into another one at strength .8."""
    import numpy as np

    from lora_kiln.benchmarks.window import falling

    made = {}
    for cell in cells:
        kept = falling(0.7, 0.9)(cell.settings.strength)
        base, other = np.random.default_rng(cell.settings.seed).integers(0, 256, (2, 8, 8, 3))
        pixels = (base * kept + other * (1 - kept)).astype(np.uint8)
        made[cell.index] = Image.fromarray(pixels).resize((64, 64), Image.Resampling.NEAREST)
    return made


def test_a_round_is_drawn_in_one_run_and_everything_is_written(comfy: Path, host: Any) -> None:
    from lora_kiln.host.find_strength import Drawn, find_strength

    rounds: list[list[Cell]] = []

    def draw(cells: Sequence[Cell], progress: Any) -> Drawn:
        rounds.append(list(cells))
        progress.update(1, 2)
        return Drawn(fading(cells), ("all keys matched",))

    found = find_strength(request_of(search=Search()), draw, host)
    assert len(rounds[0]) == 7 * 2
    assert 2 <= len(rounds) <= 4
    assert found.answer.last_coherent == pytest.approx(0.7, abs=0.12)
    assert found.folder.parent == host.runs / "sweeps"
    document = json.loads((found.folder / "window.json").read_text("utf-8"))
    assert document["notes"] == ["all keys matched"]
    assert len(list(found.folder.glob("cells/*.png"))) == sum(len(own) for own in rounds)
    cell = Image.open(found.folder / "cells" / "cell_0001.png")
    assert json.loads(cell.info["kiln_cell"])["strength"] == rounds[0][1].settings.strength
    assert host.said[-1] == found.report
    totals = {total for _, total in host.updates}
    assert totals == {13 * 2 * 2}


def test_cancel_keeps_what_was_drawn(comfy: Path, host: Any) -> None:
    from comfy.model_management import InterruptProcessingException

    from lora_kiln.host.find_strength import Drawn, find_strength

    def draw(cells: Sequence[Cell], progress: Any) -> Drawn:
        if cells[0].index:
            raise InterruptProcessingException
        return Drawn(fading(cells))

    with pytest.raises(InterruptProcessingException):
        find_strength(request_of(search=Search()), draw, host)
    (folder,) = (host.runs / "sweeps").iterdir()
    document = json.loads((folder / "window.json").read_text("utf-8"))
    assert len(document["subjects"][0]["observations"]) == 14
    assert document["notes"] == ["Cancelled: this is what was drawn."]


def test_without_a_picture_at_strength_zero_there_is_no_answer(comfy: Path, host: Any) -> None:
    from lora_kiln.host.find_strength import Drawn, find_strength

    def draw(cells: Sequence[Cell], progress: Any) -> Drawn:
        return Drawn({n: p for n, p in fading(cells).items() if cells[n].settings.strength})

    with pytest.raises(HostError, match="at strength 0"):
        find_strength(request_of(), draw, host)


def test_the_engine_draws_what_a_sweep_draws(comfy: Path, host: Any) -> None:
    from lora_kiln.host import demo_model
    from lora_kiln.host.find_strength import engine, find_strength
    from lora_kiln.tests.host import tiny_sdxl

    with torch.inference_mode():
        model, clip, vae = tiny_sdxl.make_model(), tiny_sdxl.make_clip(), demo_model._make_vae()
        lora = tiny_sdxl.write_lora(comfy, "host_find.safetensors", tiny_sdxl.lora_tensors(model))
        base = CellSettings(
            lora="host_find.safetensors", seed=3, steps=2, width_px=64, height_px=64
        )
        draw = engine(model, clip, vae, {base.lora: lora})
        found = find_strength(request_of(base=base), draw, host)
        again = find_strength(request_of(base=base), draw, host)
    assert any("keys matched" in line for line in found.report.splitlines())
    assert "there already" in again.report
    assert again.answer.recommended == found.answer.recommended
    first = Image.open(found.folder / "cells" / "cell_0000.png")
    assert first.size == (64, 64)


class Watching:
    """Progress that keeps the last picture."""

    def __init__(self) -> None:
        self.picture: Image.Image | None = None

    def update(self, done: int, total: int, *, picture: Image.Image | None = None) -> None:
        del done, total
        self.picture = picture or self.picture

    def say(self, text: str) -> None:
        del text

    def check_cancelled(self) -> None:
        pass

    def is_cancellation(self, error: BaseException) -> bool:
        del error
        return False


def cells_of(base: CellSettings, strengths: Sequence[float], first: int = 0) -> list[Cell]:
    """Two seeds, as a round of a search asks for them."""
    return [
        Cell(first + row * len(strengths) + column, 0, row, column,
             replace(base, seed=base.seed + row, strength=strength))
        for row in range(2) for column, strength in enumerate(strengths)
    ]  # fmt: skip


def test_the_live_picture_shows_every_seed_and_strength(comfy: Path) -> None:
    from lora_kiln.host import demo_model
    from lora_kiln.host.find_strength import engine
    from lora_kiln.tests.host import tiny_sdxl

    with torch.inference_mode():
        model, clip, vae = tiny_sdxl.make_model(), tiny_sdxl.make_clip(), demo_model._make_vae()
        lora = tiny_sdxl.write_lora(comfy, "host_live.safetensors", tiny_sdxl.lora_tensors(model))
        base = CellSettings(lora=lora.name, seed=90, steps=1, width_px=64, height_px=64)
        watching = Watching()
        engine(model, clip, vae, {lora.name: lora})(cells_of(base, (0.0, 0.5, 1.0)), watching)
    sheet = watching.picture
    assert sheet is not None
    assert sheet.width * 2 == sheet.height * 3
    places = [(sheet.width * c // 3 + 10, sheet.height * r // 2 + 10)
              for c in range(3) for r in range(2)]  # fmt: skip
    assert all(sheet.getpixel(place) != ImageColor.getrgb(PAPER) for place in places)


def test_a_later_round_that_cannot_be_drawn_leaves_what_was_seen(comfy: Path, host: Any) -> None:
    """A LoRA that gives NaN: only strength 0 can be drawn, and it is said which cells could not."""
    from lora_kiln.host import demo_model
    from lora_kiln.host.find_strength import engine
    from lora_kiln.tests.host import tiny_sdxl

    with torch.inference_mode():
        model, clip, vae = tiny_sdxl.make_model(), tiny_sdxl.make_clip(), demo_model._make_vae()
        tensors = tiny_sdxl.lora_tensors(model)
        ups = [name for name in tensors if name.endswith("lora_up.weight")]
        tensors |= {name: torch.full_like(tensors[name], float("nan")) for name in ups}
        lora = tiny_sdxl.write_lora(comfy, "host_nan.safetensors", tensors)
        base = CellSettings(lora=lora.name, seed=3, steps=1, width_px=64, height_px=64)
        draw = engine(model, clip, vae, {lora.name: lora})
        first = draw(cells_of(base, (0.0, 0.5)), host)
        assert set(first.pictures) == {0, 2}
        later = draw(cells_of(base, (0.25,), first=4), host)
    assert not later.pictures
    assert any(note.startswith("cell 5 failed") for note in later.notes)


def test_the_reason_why_nothing_can_be_compared_is_told(comfy: Path, host: Any) -> None:
    from lora_kiln.host.find_strength import Drawn, find_strength

    def draw(cells: Sequence[Cell], progress: Any) -> Drawn:
        return Drawn({}, ("cell 0 failed: the text is too long",))

    with pytest.raises(HostError, match="the text is too long"):
        find_strength(request_of(), draw, host)


def test_cancel_counts_only_what_was_drawn(comfy: Path, host: Any) -> None:
    from comfy.model_management import InterruptProcessingException

    from lora_kiln.host.find_strength import Drawn, find_strength

    def draw(cells: Sequence[Cell], progress: Any) -> Drawn:
        if cells[0].index:
            raise InterruptProcessingException
        return Drawn(fading(cells))

    with pytest.raises(InterruptProcessingException):
        find_strength(request_of(search=Search()), draw, host)
    (folder,) = (host.runs / "sweeps").iterdir()
    report = (folder / "report.txt").read_text("utf-8")
    assert "\n14 pictures" in report
    assert "4 are missing" in report


@pytest.mark.slow
def test_it_agrees_with_a_dense_sweep_on_the_demo_model(demo: Any, host: Any) -> None:
    """A LoRA trained on the demo's style breaks its pictures somewhat above strength 1."""
    benchmark = importlib.import_module("lora_kiln.benchmarks.window_demo")
    wires = (demo.model, demo.clip, demo.vae)
    lora = benchmark.trained_lora(*wires)
    for prompt in ("a house under the sun", "a boat on the sea"):
        agreement = benchmark.compare(wires, lora, 2.4, prompt)
        assert agreement.holds, agreement
        assert agreement.contained, agreement
