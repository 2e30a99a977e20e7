"""``kiln.py lint``: the rotten dataset as people mend it, without ComfyUI."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from lora_kiln.tests.cli.conftest import ROOT, Run
from lora_kiln.tests.dataset.rotten import clouds, make_rotten, tree, write


def test_the_whole_story_in_processes_of_its_own(python: Run, tmp_path: Path) -> None:
    root = tmp_path / "rotten"
    make_rotten(root)
    before = tree(root)
    script = ROOT / "kiln.py"
    done = python(script, "lint", "rotten", "--json", "report.json", "--sheet", "sheet.png")
    assert (done.status, done.err) == (1, "")
    told = ("imag123.txt", "123.jpg and 123.png share", "456 (1).png", "#ff00ff", "mostly red")
    for text in told:
        assert text in done.out
    (report,) = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["counts"]["error"] == 6
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert min(sheet.size) > 500
    assert tree(root) == before

    done = python(script, "lint", "rotten", "--fix", "safe, shared-name")
    assert (done.status, done.err) == (0, "")
    assert "Mended 4" in done.out
    assert (root / "image123.txt").read_bytes() == before["imag123.txt"]
    done = python(script, "lint", "rotten", "--undo")
    assert (done.status, done.err) == (0, "")
    assert tree(root) == before


def test_an_id_is_undone_in_all_folders(kiln: Run, tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_rotten(tmp_path / name)
    before = tree(tmp_path)
    done = kiln("lint", "one", "two", "--fix", "safe", "--json", "-")
    assert done.status == 1
    first, second = json.loads(done.out)
    assert len(first["mended"]) == len(second["mended"]) == 3
    assert kiln("lint", "one", "two", "--undo", first["undo"]).status == 0
    assert tree(tmp_path / "one") == {
        name.removeprefix("one/"): data for name, data in before.items() if name[:4] == "one/"
    }
    assert kiln("lint", "two", "--undo", second["undo"]).status == 0
    assert tree(tmp_path) == before


def test_what_is_asked_for_wrongly(kiln: Run, tmp_path: Path) -> None:
    make_rotten(tmp_path / "rotten")
    for words, said in (
        (("--fix", "everything"), "no rule everything"),
        (("--without", "spelling"), "no rule spelling"),
        (("--undo",), "no fixes to take back"),
        (("--undo", "--fix", "safe"), "Both --fix and --undo"),
    ):
        done = kiln("lint", "rotten", *words)
        assert (done.status, said in done.err) == (2, True), done
    assert kiln("lint", "nowhere").status == 2


def test_a_dataset_in_order(kiln: Run, tmp_path: Path) -> None:
    for seed in range(3):
        clouds(seed, (256, 256)).save(tmp_path / f"{seed}.png")
        write(tmp_path / f"{seed}.txt", f"lazdraw, cloud {'abc'[seed]}")
    words = ("--resolution", "256", "--trigger", "lazdraw", "--without", "turned, cmyk")
    done = kiln("lint", ".", *words)
    assert done.status == 0
    assert "0 errors" in done.out
    assert "turned (left out by you)" in done.out


def test_a_sheet_of_no_kind_is_refused_before_anything_is_mended(
    kiln: Run, tmp_path: Path
) -> None:
    make_rotten(tmp_path / "rotten")
    before = tree(tmp_path / "rotten")
    done = kiln("lint", "rotten", "--fix", "safe", "--sheet", "sheet.xyz")
    assert done.status != 0
    assert "sheet.xyz" in done.err
    assert "Traceback" not in done.err
    assert tree(tmp_path / "rotten") == before
