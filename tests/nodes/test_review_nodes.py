"""The nodes of the review and of curating: schemas, the sheet, and where captions come from."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def nodes(comfy: Path) -> dict[str, Any]:
    names = ("review", "curate", "data")
    return {name: importlib.import_module(f"lora_kiln.nodes.{name}") for name in names}


def run(node: Any, graph: Any = None, **inputs: Any) -> Any:
    clone = node.PREPARE_CLASS_CLONE({"hidden_inputs": {}})
    clone.hidden.unique_id, clone.hidden.prompt = "1", graph
    with torch.inference_mode():
        return clone.execute(**inputs)


def dataset(name: str, count: int = 3) -> Any:
    from lora_kiln.dataset.scan import scan_folder

    folder = Path(importlib.import_module("folder_paths").get_input_directory()) / name
    folder.mkdir(exist_ok=True)
    for number in range(count):
        Image.new("RGB", (60, 40 + 20 * number), "teal").save(folder / f"{number}.png")
    (folder / "0.txt").write_text("a plate", encoding="utf-8")
    return scan_folder(folder, name=f"input/{name}")


def test_every_input_and_output_is_explained(nodes: dict[str, Any]) -> None:
    for node in (*nodes["review"].NODES, *nodes["curate"].NODES):
        schema = node.GET_SCHEMA()
        assert schema.category.startswith("LoRA Kiln/") and schema.description
        for socket in (*schema.inputs, *schema.outputs):
            assert socket.tooltip, f"{schema.node_id}: {socket}"
        assert (ROOT / "web" / "docs" / f"{schema.node_id}.md").is_file()


def test_marks_of_the_lint_come_with_the_pictures(nodes: dict[str, Any]) -> None:
    from lora_kiln.dataset.lint.finding import Finding
    from lora_kiln.dataset.lint.report import LintReport
    from lora_kiln.host.review_page import read_review

    pictures = dataset("marked")
    finding = Finding("missing-caption", "error", "1.png has no caption", items=("1.png",))
    report = LintReport("marked", 3, (finding,), {})
    plain = run(nodes["review"].KilnReviewDataset, dataset=pictures, keep="all")
    linted = replace(pictures, lint=report)
    marked = run(nodes["review"].KilnReviewDataset, dataset=linted, keep="all")
    sheet = marked.args[1]
    assert sheet.shape[0] == 1 and sheet.shape[3] == 3 and float(sheet.min()) >= 0
    assert sheet.shape[1] > plain.args[1].shape[1]
    rows = read_review(marked.ui["kiln_review"][0]["id"])["items"]
    assert [row.get("marks") for row in rows] == [
        None, [["error", "missing-caption: 1.png has no caption"]], None,
    ]


def test_captions_of_the_graph_are_told_apart(nodes: dict[str, Any]) -> None:
    from lora_kiln.host.review_page import read_review

    pictures = dataset("templated").with_captions(["tsukumo, a plate", "tsukumo", None])
    told = run(nodes["review"].KilnReviewDataset, dataset=pictures, keep="all")
    rows = read_review(told.ui["kiln_review"][0]["id"])["items"]
    assert [(row["caption"], row.get("trained")) for row in rows] == [
        ("a plate", "tsukumo, a plate"), (None, "tsukumo"), (None, None),
    ]


def test_pictures_of_the_graph_alone_cannot_be_reviewed(nodes: dict[str, Any]) -> None:
    (made,) = run(nodes["data"].KilnImagesToDataset, images=[torch.rand(1, 8, 8, 3)]).args
    with pytest.raises(ValueError, match="Use Curate Images"):
        run(nodes["review"].KilnReviewDataset, dataset=made, keep="all")


def test_curated_captions(nodes: dict[str, Any]) -> None:
    curate = nodes["curate"].KilnCurateImages
    graph = {
        "1": {"inputs": {"images": ["2", 0]}},
        "2": {"inputs": {"samples": ["3", 0]}},
        "3": {"inputs": {"positive": ["4", 0]}},
        "4": {"inputs": {"text": "a bay,\nat dusk"}},
    }
    images = [torch.rand(2, 8, 8, 3), torch.rand(1, 8, 16, 3)]

    def captions(**inputs: Any) -> list[str]:
        told = run(curate, graph, name=["somewhere"], images=images, **inputs)
        return [row["caption"] for row in told.ui["kiln_curate"][0]["items"]]

    assert captions() == ["a bay, at dusk"] * 3
    assert captions(prompts=[""]) == ["a bay, at dusk"] * 3
    assert captions(prompts=["one"]) == ["one"] * 3
    assert captions(prompts=["1\n2\n3"]) == ["1", "2", "3"]
    with pytest.raises(ValueError, match="2 captions for 3 images"):
        captions(prompts=["1\n2"])
    with pytest.raises(ValueError, match="No picture has arrived"):
        run(curate, name=["somewhere"])
    check = curate.validate_inputs
    assert check(name=["fine"]) is True and check() is True
    assert check(name=["../x"]) is not True
