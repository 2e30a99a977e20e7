"""The page gets each cell's picture as ``/view`` serves it, and the reason where there is none."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from lora_kiln.sweep.result import StoredPictures
from lora_kiln.tests.sweep.score_cases import blobs, make_plan, save_sweep


@pytest.fixture
def page(comfy: Path) -> Any:
    del comfy
    return importlib.import_module("lora_kiln.host.score_page")


def scored(sweep: Any, *shortlist: tuple[int, ...]) -> Any:
    """Only what the page reads of a scored sweep."""
    candidates = tuple(SimpleNamespace(cells=cells) for cells in shortlist)
    return SimpleNamespace(sweep=sweep, choice=SimpleNamespace(shortlist=candidates))


def small_sweep(output: Path, **plan: Any) -> Any:
    made = make_plan(**plan)
    pictures = {cell.index: blobs(cell.index, (16, 16)) for cell in made.cells}
    return save_sweep(output / "kiln" / "sweeps" / "s_00001", made, pictures)


def test_cells_and_files(page: Any, tmp_path: Path) -> None:
    sweep = small_sweep(tmp_path, seeds=(1, 2), prompts=("<b>a</b>", "b"))
    decision = SimpleNamespace(cell=sweep.plan.cells[3], by="person")
    told = json.loads(json.dumps(page.cell_grid(scored(sweep, (1, 5)), decision, tmp_path)))
    assert told["pages"] == ["<b>a</b>", "b"]
    assert (told["rows"], told["columns"]) == (["strength 0", "strength 1"], ["seed 1", "seed 2"])
    assert told["cells"][5] == [5, 1, 0, 1, "cell_0005.png"]
    assert told["folder"] == "kiln/sweeps/s_00001/cells"
    assert told["size"] == [64, 64]
    assert told["shortlist"] == [[1, 5]]
    assert told["decision"] == [3, "person"]
    assert told["failed"] == {}
    assert all((tmp_path / told["folder"] / cell[4]).is_file() for cell in told["cells"])


def test_failed_cells_have_their_reason(page: Any, tmp_path: Path) -> None:
    sweep = small_sweep(tmp_path)
    files = {index: path for index, path in sweep.pictures.files.items() if index != 1}
    rows = tuple({**row, "error": "x" * 900 if row["cell"] == 1 else ""} for row in sweep.rows)
    torn = replace(sweep, pictures=StoredPictures(files), rows=rows)
    told = page.cell_grid(scored(torn), None, tmp_path)
    assert told["failed"] == {1: "x" * page.LONGEST_REASON}
    assert [cell[4] for cell in told["cells"]] == ["cell_0000.png", ""]
    assert told["decision"] is None


def test_the_folders_own_pictures_go_before_the_stores(page: Any, tmp_path: Path) -> None:
    sweep = small_sweep(tmp_path)
    store = tmp_path / "kiln" / "cache" / "cells"
    kept = {0: store / "aa" / "1.png", 1: store / "bb" / "2.png"}
    for index, path in kept.items():
        path.parent.mkdir(parents=True)
        blobs(index, (16, 16)).save(path)
        own = sweep.folder / "cells" / f"cell_{index:04d}"
        Image.open(own.with_suffix(".png")).save(own.with_suffix(".webp"))
        own.with_suffix(".png").unlink()
    lossy = replace(sweep, pictures=StoredPictures(kept))
    told = page.cell_grid(scored(lossy), None, tmp_path)
    assert [cell[4] for cell in told["cells"]] == ["cell_0000.webp", "cell_0001.webp"]
    # Without them, the store's, each in a folder of its own.
    for path in (sweep.folder / "cells").iterdir():
        path.unlink()
    told = page.cell_grid(scored(lossy), None, tmp_path)
    assert told["folder"] == "kiln/cache/cells"
    assert [cell[4] for cell in told["cells"]] == ["aa/1.png", "bb/2.png"]
    # What /view does not serve is not offered.
    told = page.cell_grid(scored(lossy), None, tmp_path / "elsewhere")
    assert [cell[4] for cell in told["cells"]] == ["", ""]


def test_a_large_sweep_is_a_small_message(page: Any, tmp_path: Path) -> None:
    plan = make_plan(tuple(n / 10 for n in range(20)), tuple(range(25)))
    files = {c.index: tmp_path / "cells" / f"cell_{c.index:04d}.png" for c in plan.cells}
    (tmp_path / "cells").mkdir()
    for path in files.values():
        path.touch()
    sweep = SimpleNamespace(plan=plan, pictures=StoredPictures(files), rows=(), folder=tmp_path)
    assert len(json.dumps(page.cell_grid(scored(sweep), None, tmp_path))) < 25_000
