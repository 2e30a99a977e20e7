"""A run's name is a label and a number; the same ingredients are the same run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from lora_kiln.core.atomic import TEMPORARY_SUFFIX
from lora_kiln.trainer.runs import Run, open_run

BASE: dict[str, Any] = {"settings": {"rank": 4}, "model": "abc"}


def start(root: Path, label: str = "my style", **changes: Any) -> Run:
    return open_run(root, label, {**BASE, **changes}, {"host": {"torch": "2"}})


def test_same_ingredients_same_run_and_a_change_takes_the_next_number(tmp_path: Path) -> None:
    first = start(tmp_path)
    assert first.name == "my style-001"
    assert start(tmp_path) == first
    second = start(tmp_path, model="abd")
    assert second.name == "my style-002"
    assert start(tmp_path) == first
    assert start(tmp_path, model="abd") == second
    assert start(tmp_path, label="my").name == "my-001"
    document = first.document()
    assert document["ingredients"] == BASE
    assert document["host"] == {"torch": "2"}
    assert (document["finished"], first.finished) == (False, False)


def test_other_folders_do_not_confuse_the_numbers(tmp_path: Path) -> None:
    for name in ("a-007", "a-12", "a-x", "ab-090", "a-0100-old", "cache"):
        (tmp_path / name).mkdir()
    (tmp_path / "a-050").write_text("a file")
    assert start(tmp_path, "a").name == "a-008"
    assert start(tmp_path, "a.b").name == "a.b-001"
    assert start(tmp_path, "a+").name == "a+-001"


def test_past_a_thousand(tmp_path: Path) -> None:
    (tmp_path / "a-999").mkdir()
    assert start(tmp_path, "a").name == "a-1000"
    assert start(tmp_path, "a", model="x").name == "a-1001"


def test_a_damaged_run_is_passed_over_and_kept(tmp_path: Path) -> None:
    first = start(tmp_path)
    (first.folder / "run.json").write_text('{"identity": ')
    second = start(tmp_path)
    assert second.name == "my style-002"
    assert (first.folder / "run.json").read_text() == '{"identity": '
    assert start(tmp_path) == second


def test_updates_keep_the_rest(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.update({"finished": True, "probe_end": 0.5})
    assert run.finished
    assert run.document()["ingredients"] == BASE
    assert start(tmp_path).document()["probe_end"] == 0.5


def test_what_a_kill_left_is_swept_when_the_run_goes_on(tmp_path: Path) -> None:
    run = start(tmp_path)
    litter = run.checkpoints / f"a{TEMPORARY_SUFFIX}"
    litter.parent.mkdir()
    litter.write_text("half")
    start(tmp_path)
    assert not litter.exists()


def test_a_torn_metrics_line_is_left_out_and_mended(tmp_path: Path) -> None:
    run = start(tmp_path)
    assert run.metrics() == []
    lines = [json.dumps({"step": step, "loss": 0.5}) for step in (1, 2, 3)]
    run.metrics_path.write_text("\n".join(lines) + '\n{"step": 4, "lo')
    assert [entry["step"] for entry in run.metrics()] == [1, 2, 3]
    run.truncate_metrics(2)
    assert run.metrics_path.read_text() == "\n".join(lines[:2]) + "\n"
    run.truncate_metrics(0)
    assert run.metrics() == []


def test_an_identity_kept_in_file_is_of_the_content(tmp_path: Path) -> None:
    """Key order plays no part; a value's type does."""
    first = open_run(tmp_path, "a", {"x": 1, "y": 2}, {})
    assert open_run(tmp_path, "a", {"y": 2, "x": 1}, {"other": "details"}) == first
    assert open_run(tmp_path, "a", {"x": "1", "y": 2}, {}).name == "a-002"


def test_a_number_that_was_published_is_not_used_again(tmp_path: Path) -> None:
    """The stock loader may still hold that file, even when its run was thrown away."""
    loras = tmp_path / "loras"
    loras.mkdir()
    (loras / "STYLE-004.safetensors").touch()
    (loras / "other-009.safetensors").touch()
    run = open_run(tmp_path / "runs", "style", {"a": 1}, {}, published=loras)
    assert run.name == "style-005"
    shutil.rmtree(run.folder)
    assert open_run(tmp_path / "runs", "style", {"a": 1}, {}, published=loras).name == "style-006"


def test_labels_that_differ_in_case_share_their_numbers(tmp_path: Path) -> None:
    """Many disks take them for one name."""
    assert open_run(tmp_path, "Style", {"a": 1}, {}).name == "Style-001"
    assert open_run(tmp_path, "style", {"a": 2}, {}).name == "style-002"
