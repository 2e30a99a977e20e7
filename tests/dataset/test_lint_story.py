"""The rotten dataset: each fault found, mended where it can be, nothing lost, all taken back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lora_kiln.core.errors import DatasetError
from lora_kiln.dataset.decode import decode
from lora_kiln.dataset.items import Dataset
from lora_kiln.dataset.lint.context import LintContext
from lora_kiln.dataset.lint.gate import require_sound
from lora_kiln.dataset.lint.mend import lint_and_mend, undone
from lora_kiln.dataset.lint.run import lint
from lora_kiln.dataset.lint.told import told
from lora_kiln.tests.dataset.rotten import (
    Silent,
    context_of,
    make_rotten,
    read,
    report_of,
    tree,
    write,
)


@pytest.fixture
def rotten(tmp_path: Path) -> Path:
    make_rotten(tmp_path / "rotten")
    return tmp_path / "rotten"


def make(dataset: Dataset) -> LintContext:
    return context_of(dataset)


def rules_of(root: Path, level: str) -> set[str]:
    return {finding.rule for finding in report_of(root).findings if finding.level == level}


def test_each_is_found(rotten: Path) -> None:
    report = report_of(rotten)
    by_rule = {finding.rule: finding for finding in report.findings}
    near = by_rule["near-miss-caption"]
    assert (near.items, near.files) == (("image123.png",), ("imag123.txt",))
    assert near.fix is not None and near.fix.safe
    assert near.fix.text == "rename imag123.txt to image123.txt"
    assert set(by_rule["shared-name"].items) == {"123.png", "123.jpg"}
    assert by_rule["browser-copy"].items == ("456 (1).png",)
    assert by_rule["hidden-colour"].items == ("ghost.png",)
    assert by_rule["hidden-colour"].data["colour"] == "#ff00ff"
    ball = by_rule["recurring-object"]
    assert len(ball.items) == 9
    assert "at the bottom right, mostly red" in ball.text
    assert [f.level for f in report.findings] == sorted(
        (f.level for f in report.findings), key=["error", "warning", "info"].index
    )
    text = told(report)
    assert text.index("ERRORS") < text.index("GOOD TO KNOW")
    assert "imag123.txt has no picture" in text


def test_captions_that_name_the_thing_are_let_be(rotten: Path) -> None:
    for file in rotten.glob("*.txt"):
        write(file, file.read_text("utf-8") + ", red ball")
    assert "recurring-object" not in {one.rule for one in report_of(rotten).findings}


def test_safe_fixes_then_those_that_were_looked_at(rotten: Path) -> None:
    before = tree(rotten)
    mended = lint_and_mend(make, read(rotten), "safe")
    assert {finding.rule for finding in mended.applied.done} == {
        "near-miss-caption", "browser-copy", "hidden-colour"
    }
    assert [finding.rule for finding in mended.report.errors] == ["shared-name"]
    assert mended.dataset.lint is mended.report
    rest = lint_and_mend(make, mended.dataset, "safe, shared-name")
    assert rest.report.errors == ()
    after = tree(rotten)
    assert after["image123.txt"] == before["imag123.txt"]
    assert after["456 (1).txt"] == before["456.txt"]
    assert after["123_png.png"] == before["123.png"]
    assert after["123_png.txt"] == after["123.txt"] == before["123.txt"]
    # Nothing is lost: every byte from before is there, or in the journal.
    kept = {path.read_bytes() for path in (rotten / ".kiln").rglob("*") if path.is_file()}
    assert set(before.values()) <= set(after.values()) | kept

    dataset, said = undone(rest.dataset, rest.applied.id)
    assert rest.applied.id in said
    dataset, _ = undone(dataset)
    assert tree(rotten) == before
    again = read(rotten)
    assert {(i.name, i.caption, i.source.sha256) for i in dataset.items} == {
        (i.name, i.caption, i.source.sha256) for i in again.items
    }
    with pytest.raises(DatasetError, match="no fixes to take back"):
        undone(dataset)


def test_the_dataset_follows_its_files(rotten: Path) -> None:
    """Without reading the folder anew it is what reading it anew gives."""
    mended = lint_and_mend(make, read(rotten), "safe, shared-name").dataset
    again = read(rotten)

    def rows(dataset: Dataset) -> set[tuple[object, ...]]:
        return {
            (item.name, item.file, item.caption, item.caption_file, item.source.sha256)
            for item in dataset.items
        }

    assert rows(mended) == rows(again)
    assert set(mended.origins[0].files) == set(again.origins[0].files)


def test_flattened_as_it_was_trained_all_along(rotten: Path) -> None:
    dataset = read(rotten)
    (ghost,) = [item for item in dataset.items if item.name == "ghost.png"]
    seen = np.asarray(decode(ghost.source, "white").image)
    lint_and_mend(make, dataset, "safe")
    with Image.open(rotten / "ghost.png") as flat:
        assert flat.mode == "RGB"
        assert np.array_equal(np.asarray(flat), seen)
        assert tuple(np.asarray(flat)[0, 0]) == (255, 255, 255)


def test_training_stops_and_says_why(rotten: Path) -> None:
    dataset = read(rotten)
    with pytest.raises(DatasetError, match=r"imag123\.txt") as stopped:
        require_sound(dataset, Silent())
    assert "123.jpg and 123.png share" in str(stopped.value)
    # Without a lint nobody has looked at pixels; with one, its errors count.
    assert "ghost.png" not in str(stopped.value)
    mended = lint_and_mend(make, dataset, "near-miss-caption, shared-name, browser-copy").dataset
    with pytest.raises(DatasetError, match=r"ghost\.png hides #ff00ff"):
        require_sound(mended, Silent())
    require_sound(lint_and_mend(make, mended, "safe").dataset, Silent())


def test_a_report_counts_only_while_it_is_true(rotten: Path) -> None:
    """What was mended by other means since, or left out, stops nobody."""
    mended = lint_and_mend(make, read(rotten), "near-miss-caption, shared-name, browser-copy")
    without = dataclasses.replace(
        mended.dataset,
        items=tuple(item for item in mended.dataset.items if item.name != "ghost.png"),
    )
    require_sound(without, Silent())


def test_training_judges_sizes_by_its_own_resolution(tmp_path: Path) -> None:
    """The lint may have been told another one."""
    Image.new("RGB", (128, 128)).save(tmp_path / "a.png")
    write(tmp_path / "a.txt", "lazdraw")
    report = lint(context_of(read(tmp_path), resolution=1024))
    assert [one.rule for one in report.errors] == ["small-picture"]
    require_sound(dataclasses.replace(read(tmp_path), lint=report), Silent())


def test_training_leaves_out_what_the_person_left_out(rotten: Path) -> None:
    rules = ("near-miss-caption", "shared-name", "browser-copy", "hidden-colour")
    dataset = read(rotten)
    with pytest.raises(DatasetError):
        require_sound(dataset, Silent())
    report = lint(context_of(dataset, without=", ".join(rules)))
    require_sound(dataclasses.replace(dataset, lint=report), Silent())
