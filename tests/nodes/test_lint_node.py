"""Lint as a node: the story in ComfyUI, the report's file, undo, and training that stops."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from lora_kiln.core.errors import ConfigError, DatasetError
from lora_kiln.dataset.lint.rule import rules
from lora_kiln.tests.dataset.rotten import make_rotten, tree

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def lint(comfy: Path) -> ModuleType:
    return importlib.import_module("lora_kiln.nodes.lint")


@pytest.fixture
def rotten(comfy: Path) -> Iterator[Path]:
    import shutil

    folder = Path(importlib.import_module("folder_paths").get_input_directory()) / "kiln_rotten"
    make_rotten(folder)
    yield folder
    shutil.rmtree(folder)


def run(node: Any, **inputs: Any) -> tuple[Any, ...]:
    """Execute a node as ComfyUI does: on a prepared clone, in inference mode."""
    with torch.inference_mode():
        return tuple(node.PREPARE_CLASS_CLONE(None).execute(**inputs).args)


def load() -> Any:
    """The folder as the node before reads it."""
    data = importlib.import_module("lora_kiln.nodes.data")
    return run(
        data.KilnLoadImageFolder, folder="input/kiln_rotten", background="white",
        custom_background="#f4efe6", caption_extension=".txt", subfolders=True,
    )[0]


def test_every_input_and_output_is_explained(lint: ModuleType) -> None:
    schema = lint.KilnLintDataset.GET_SCHEMA()
    page = (ROOT / "web" / "docs" / f"{schema.node_id}.md").read_text("utf-8")
    for part in (*schema.inputs, *schema.outputs):
        assert part.tooltip and part.tooltip.endswith(".")
        assert f"**{getattr(part, 'id', '') or part.display_name}**" in page or (
            f"**{part.display_name}**" in page
        )


def test_the_whole_story(lint: ModuleType, rotten: Path, comfy: Path) -> None:
    before = tree(rotten)
    node = lint.KilnLintDataset
    dataset, report, sheet, errors = run(node, dataset=load(), resolution=256)
    assert errors == 6
    assert "imag123.txt" in report
    assert dataset.lint is not None
    assert sheet.dtype == torch.float32
    assert sheet.ndim == 4 and sheet.shape[-1] == 3
    assert tree(rotten) == before

    dataset, report, _, errors = run(
        node, dataset=load(), resolution=256, fix="safe fixes and these rules",
        fix_rules="shared-name",
    )
    assert errors == 0
    assert {item.caption for item in dataset.items} == {item.caption for item in load().items}
    fix_id = report.partition("undo ")[2].partition(".")[0]

    dataset, report, _, errors = run(node, dataset=load(), resolution=256, undo=fix_id)
    assert report.startswith("Took back")
    assert tree(rotten) == before
    # Queued once more, as a graph is: nothing else is taken back.
    assert run(node, dataset=load(), resolution=256, undo=fix_id)[3] == errors == 6


def test_the_report_is_kept_as_json(lint: ModuleType, rotten: Path, comfy: Path) -> None:
    from lora_kiln.host.lint import report_file

    run(lint.KilnLintDataset, dataset=load(), resolution=256, fix="safe fixes")
    file = report_file("input/kiln_rotten")
    assert file.parent == comfy / "output" / "kiln" / "lint"
    report = json.loads(file.read_text("utf-8"))
    assert report["dataset"] == "input/kiln_rotten"
    assert len(report["mended"]["done"]) == 3
    assert report_file("a/b") != report_file("a_b")
    assert report_file("../../x").parent == file.parent


def test_what_comes_with_the_pack_is_not_changed(lint: ModuleType) -> None:
    data = importlib.import_module("lora_kiln.nodes.data")
    dataset = run(
        data.KilnLoadImageFolder, folder="demo/style", background="white",
        custom_background="#f4efe6", caption_extension=".txt", subfolders=True,
    )[0]
    with pytest.raises(ConfigError, match="comes with the pack"):
        run(lint.KilnLintDataset, dataset=dataset, resolution=128, fix="safe fixes")


def test_vision_and_tokens_are_handed_to_the_rules(lint: ModuleType, rotten: Path) -> None:
    _, report, _, _ = run(lint.KilnLintDataset, dataset=load(), resolution=256)
    for rule in rules().values():
        if rule.needs:
            assert f"{rule.name} (needs a CLIP" in report


def train(dataset: Any, **inputs: Any) -> Any:
    demo = importlib.import_module("lora_kiln.nodes.demo")
    model, clip, vae = run(demo.KilnDemoModel)[:3]
    values = {
        "run_name": "gate", "steps": 1, "learning_rate": 1e-3, "rank": 2, "resolution": 128,
        "seed": 1, "warmup_steps": 0, "preview_every": 0,
    }
    node = importlib.import_module("lora_kiln.nodes.train").KilnTrainLora
    return run(node, model=model, clip=clip, vae=vae, dataset=dataset, **(values | inputs))


def captioned(dataset: Any) -> Any:
    captions = importlib.import_module("lora_kiln.nodes.captions")
    return run(
        captions.KilnTemplateCaptions, dataset=dataset, template="lazdraw", trigger="",
        default_subject="", apply_to="all pictures",
    )[0]


def test_training_stops_at_errors(lint: ModuleType, rotten: Path) -> None:
    # No lint node: what is seen without looking at pixels is seen all the same.
    with pytest.raises(DatasetError, match=r"imag123\.txt"):
        train(load())
    dataset = captioned(load())
    with pytest.raises(DatasetError, match=r"123\.jpg and 123\.png share"):
        train(dataset)
    # With one its errors count, also behind a caption node.
    linted = run(
        lint.KilnLintDataset, dataset=load(), resolution=128, fix="safe fixes and these rules",
        fix_rules="shared-name, near-miss-caption", without="hidden-colour",
    )[0]
    linted = run(lint.KilnLintDataset, dataset=linted, resolution=128)[0]
    with pytest.raises(DatasetError, match=r"ghost\.png hides"):
        train(captioned(linted))


def test_training_goes_on_where_it_is_told_to(comfy: Path, rotten: Path) -> None:
    for file in rotten.iterdir():
        if not file.name.startswith("123"):
            file.unlink()
    assert train(load(), dataset_errors="train anyway")[2].startswith("kiln")
