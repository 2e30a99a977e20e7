"""The report as text, JSON and sheets; the search for look-alikes; fixes that do not fit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from lora_kiln.core.errors import ConfigError, DatasetError
from lora_kiln.dataset.changes import MoveFile, WriteFile, list_changes
from lora_kiln.dataset.lint import apply as apply_module
from lora_kiln.dataset.lint.apply import Applied, apply_fixes, chosen, undo_fixes
from lora_kiln.dataset.lint.close_pairs import bits_apart, close_pairs, groups
from lora_kiln.dataset.lint.finding import Finding, Fix
from lora_kiln.dataset.lint.report import LintReport
from lora_kiln.dataset.lint.sheet import MARKS, draw_sheets
from lora_kiln.dataset.lint.told import told
from lora_kiln.dataset.perceptual import perceptual_hash
from lora_kiln.tests.dataset.rotten import clouds, make_rotten, read, report_of, tree, write


def test_a_rule_with_thousands_of_findings_is_told_in_a_few_lines() -> None:
    many = tuple(Finding("turned", "info", f"{n}.jpg is turned.") for n in range(5000))
    one = Finding("shared-name", "error", "a.png and a.jpg share a.txt.")
    text = told(LintReport("set", 5000, (one, *many), {"cut-tag": "needs a CLIP"}))
    assert len(text.splitlines()) < 20
    assert "… and 4,995 more" in text
    assert text.index("shared-name") < text.index("turned (5000)")
    assert "cut-tag (needs a CLIP)" in text


def test_the_report_is_json(tmp_path: Path) -> None:
    make_rotten(tmp_path)
    report = json.loads(json.dumps(report_of(tmp_path).as_json()))
    row = next(f for f in report["findings"] if f["rule"] == "near-miss-caption")
    assert row["fix"] == "rename imag123.txt to image123.txt"
    assert row["safe"] is True
    assert report["counts"]["error"] == 4 + 2  # Two pictures without a caption are two more.


def test_sheets_show_the_worst_first(tmp_path: Path) -> None:
    make_rotten(tmp_path)
    dataset = read(tmp_path)
    (sheet,) = draw_sheets(dataset, report_of(tmp_path))
    assert sheet.mode == "RGB"
    pixels = np.asarray(sheet)
    red = np.array([int(MARKS["error"][n : n + 2], 16) for n in (1, 3, 5)])
    assert (np.abs(pixels.astype(int) - red).max(-1) < 8).sum() > 500


def test_sheets_are_bounded_and_of_one_size(tmp_path: Path) -> None:
    for seed in range(60):
        clouds(seed, (64, 64)).save(tmp_path / f"{seed}.png")
    dataset = read(tmp_path)
    sheets = draw_sheets(dataset, LintReport("many", 60, (), {}))
    assert len(sheets) == 3
    assert len({sheet.size for sheet in sheets}) == 1
    assert len(draw_sheets(dataset, LintReport("many", 60, (), {}), most_pages=1)) == 1


def test_all_close_pairs_are_found() -> None:
    rng = np.random.default_rng(5)
    hashes = [int(value) for value in rng.integers(0, 2**63, 400, dtype=np.uint64)]
    for number in range(200):
        changed = hashes[number]
        for bit in rng.choice(64, number % 10, replace=False):
            changed ^= 1 << int(bit)
        hashes.append(changed)
    values = np.array(hashes, dtype=np.uint64)
    distance = bits_apart(values[:, None].repeat(len(values), 1), values[None].repeat(600, 0))
    for most in (0, 3, 7):
        pairs = set(close_pairs(hashes, most))
        assert all(distance[one, other] <= most for one, other in pairs)
        close = {frozenset(p.tolist()) for p in np.argwhere(distance <= most) if p[0] != p[1]}
        by_group = [set(group) for group in groups(len(hashes), iter(pairs))]
        assert all(any(pair <= group for group in by_group) for pair in close)
    assert list(close_pairs([7, 7, 7], 0)) == [(0, 1), (1, 2)]
    with pytest.raises(ValueError, match="8 bits"):
        list(close_pairs([1, 2], 8))


def test_the_hash_outlives_scaling_and_recompression() -> None:
    first = clouds(1, (640, 512))
    hashes = [first, first.resize((300, 240)), first.convert("L"), clouds(2), clouds(3)]
    values = np.array([perceptual_hash(image) for image in hashes], dtype=np.uint64)
    apart = bits_apart(values[:1].repeat(4), values[1:])
    assert apart[:2].max() <= 4
    assert apart[2:].min() > 12


def fix_of(root: Path, *changes: MoveFile | WriteFile, safe: bool = True) -> Finding:
    origin = read(root).origins[0]
    return Finding("shared-name", "error", "x", fix=Fix(origin, changes, "do it", safe))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        clouds(ord(name)).save(tmp_path / f"{name}.png")
        write(tmp_path / f"{name}.txt", name)
    return tmp_path


def test_what_cannot_be_done_is_said_and_the_rest_is_done(folder: Path) -> None:
    applied = apply_fixes(
        [
            fix_of(folder, MoveFile("a.txt", "c.txt")),
            fix_of(folder, MoveFile("a.txt", "d.txt")),
            fix_of(folder, MoveFile("gone.txt", "e.txt")),
            fix_of(folder, MoveFile("a.png", "b.png")),
            fix_of(folder, MoveFile("b.txt", "../out.txt")),
            fix_of(folder, WriteFile("b.txt", b"new")),
        ],
        "cafe",
    )
    assert len(applied.done) == 2
    reasons = [why for _, why in applied.skipped]
    assert ["lint again" in reasons[0], "no longer there" in reasons[1]] == [True, True]
    assert "b.png is there already" in reasons[2]
    assert "leads out" in reasons[3]
    assert len(applied.sets) == len(list_changes(folder)) == 1
    assert "undo cafe" in applied.text()
    assert (folder / "b.txt").read_bytes() == b"new"


def test_much_data_is_written_in_parts_and_undone_as_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply_module, "MOST_BYTES", 3)
    before = tree(folder)
    applied = apply_fixes(
        [fix_of(folder, WriteFile(f"{name}.txt", b"four")) for name in ("a", "b")], "cafe"
    )
    assert len(applied.sets) == 2
    assert len(undo_fixes([folder])) == 2
    assert tree(folder) == before


def test_a_disk_that_refuses_in_the_second_part_undoes_the_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply_module, "MOST_BYTES", 3)
    before = tree(folder)
    bad = fix_of(folder, WriteFile("b.txt", b"four"))
    assert bad.fix is not None

    def gone() -> tuple[WriteFile, ...]:
        raise DatasetError("b.png has changed", expected="as it was", remedy="Queue again")

    fixes = [
        fix_of(folder, WriteFile("a.txt", b"four")),
        dataclasses.replace(bad, fix=dataclasses.replace(bad.fix, make=gone)),
    ]
    with pytest.raises(DatasetError, match=r"b\.png has changed"):
        apply_fixes(fixes, "cafe")
    assert tree(folder) == before


def test_only_what_was_chosen(folder: Path) -> None:
    safe, guess = fix_of(folder), fix_of(folder, safe=False)
    other = dataclasses.replace(guess, rule="near-duplicate")
    bare = Finding("shared-name", "error", "x")
    everything = [safe, guess, other, bare]
    assert chosen(everything, "nothing") == []
    assert chosen(everything, "safe") == [safe]
    assert chosen(everything, "shared-name") == [safe, guess]
    assert chosen(everything, " safe , near-duplicate,") == [safe, other]
    with pytest.raises(ConfigError, match="no rule shared-nam to mend"):
        chosen(everything, "shared-nam")


def test_an_unknown_id_is_told_with_those_there_are(folder: Path) -> None:
    with pytest.raises(DatasetError, match="no fixes to take back"):
        undo_fixes([folder])
    apply_fixes([fix_of(folder, WriteFile("a.txt", b"new"))], "cafe")
    with pytest.raises(DatasetError, match="cafe"):
        undo_fixes([folder], "nobody")
    (made,) = list_changes(folder)
    assert undo_fixes([folder], made.id)[0].status == "undone"
    assert Applied("").text() == ""
