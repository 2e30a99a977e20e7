"""Data and caption nodes: their schemas, and one way through the graph."""

from __future__ import annotations

import importlib
import math
from collections.abc import Coroutine
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def data(comfy: Path) -> ModuleType:
    return importlib.import_module("lora_kiln.nodes.data")


@pytest.fixture
def captions(comfy: Path) -> ModuleType:
    return importlib.import_module("lora_kiln.nodes.captions")


@pytest.fixture
def plates(comfy: Path) -> Path:
    """Two pictures in ComfyUI's input folder, one in a subject's folder."""
    folder = Path(importlib.import_module("folder_paths").get_input_directory()) / "kiln_plates"
    (folder / "hand").mkdir(parents=True, exist_ok=True)
    for name, colour in (("a.png", "red"), ("hand/b.png", "blue")):
        Image.new("RGB", (160, 128), colour).save(folder / name)
    (folder / "a.txt").write_text("engraving", encoding="utf-8")
    return folder


def run(node: Any, **inputs: Any) -> tuple[Any, ...]:
    """Execute a node as ComfyUI does: on a prepared clone, in inference mode."""
    clone = node.PREPARE_CLASS_CLONE(None)
    with torch.inference_mode():
        return tuple(clone.execute(**inputs).args)


def load(data: ModuleType, folder: str, **changes: Any) -> tuple[Any, ...]:
    inputs = {
        "folder": folder,
        "background": "white",
        "custom_background": "#f4efe6",
        "caption_extension": ".txt",
        "subfolders": True,
    }
    return run(data.KilnLoadImageFolder, **(inputs | changes))


def test_every_input_and_output_is_explained(data: ModuleType, captions: ModuleType) -> None:
    for node in (*data.NODES, *captions.NODES):
        schema = node.GET_SCHEMA()
        assert schema.category.startswith("LoRA Kiln/")
        assert schema.node_id == node.__name__
        assert schema.description
        for socket in (*schema.inputs, *schema.outputs):
            assert socket.tooltip, f"{schema.node_id}: {socket}"
        assert (ROOT / "web" / "docs" / f"{schema.node_id}.md").is_file()
        assert node.INPUT_TYPES()


def test_from_folder_to_captions(data: ModuleType, captions: ModuleType, plates: Path) -> None:
    dataset, count, summary = load(data, "input/kiln_plates")
    assert count == 2
    assert "1 of 2 pictures have no caption: hand/b.png" in summary
    captioned, preview = run(
        captions.KilnTemplateCaptions,
        dataset=dataset,
        template="{trigger}, a {subject}",
        trigger="anat",
        default_subject="plate",
        apply_to="all pictures",
    )
    assert [item.caption for item in captioned.items] == ["anat, a plate", "anat, a hand"]
    assert preview.splitlines()[0] == "a.png: anat, a plate"
    with pytest.raises(ValueError, match="background colour is '#12'"):
        load(data, "input/kiln_plates", background="custom", custom_background="#12")
    custom = load(data, "input/kiln_plates", background="custom", subfolders=False)[0]
    assert (custom.background, len(custom)) == ("#f4efe6", 1)


def test_masks(data: ModuleType, plates: Path) -> None:
    schema = data.KilnLoadImageFolder.GET_SCHEMA()
    masks = schema.inputs[5]
    # Optional and off: graphs that were saved before it was there run on, and as they did.
    assert (masks.id, masks.default, masks.optional) == ("masks", "off", True)
    mask = plates / "hand" / "b-masklabel.png"
    Image.new("L", (160, 128), 255).save(mask)
    try:
        dataset, count, summary = load(data, "input/kiln_plates")
        assert (count, [item.mask for item in dataset.items]) == (2, [None, None])
        assert "1 mask files are not used: masks is off: hand/b-masklabel.png." in summary
        dataset, _, summary = load(data, "input/kiln_plates", masks="files")
        assert [item.mask is None for item in dataset.items] == [True, False]
        assert "1 of 2 pictures have no mask and are trained on whole: a.png." in summary
    finally:
        mask.unlink()


def test_the_demo_folder_is_offered(data: ModuleType) -> None:
    assert "demo/style" in data.list_dataset_folders()
    assert load(data, "demo/style")[1] > 0


def test_images_of_a_list(data: ModuleType) -> None:
    images = [torch.rand(2, 16, 16, 3), torch.rand(1, 8, 24, 3)]
    (dataset,) = run(data.KilnImagesToDataset, images=images, caption=["x"], subject=["cat"])
    assert [item.caption for item in dataset.items] == ["x"] * 3
    (bare,) = run(data.KilnImagesToDataset, images=images)
    assert bare.names_without_caption() == ["images_001", "images_002", "images_003"]


def test_fingerprint_follows_the_files(data: ModuleType, plates: Path) -> None:
    def fingerprint(**inputs: Any) -> Any:
        return data.KilnLoadImageFolder.fingerprint_inputs(**inputs)

    before = fingerprint(folder="input/kiln_plates", subfolders=True)
    assert before == fingerprint(folder="input/kiln_plates", subfolders=True, background="black")
    (plates / "a.txt").write_text("engraving, 1910", encoding="utf-8")
    assert fingerprint(folder="input/kiln_plates", subfolders=True) != before
    assert math.isnan(fingerprint())


def test_validation_speaks_before_the_graph_runs(
    data: ModuleType, captions: ModuleType, plates: Path
) -> None:
    check = data.KilnLoadImageFolder.validate_inputs
    assert check() is True
    assert check(folder="input/kiln_plates") is True
    assert check(folder="demo/style") is True
    for escape in ("../models", "input/nowhere", "/etc", "input/../models", "nowhere"):
        assert check(folder=escape) is not True, escape
    assert captions.KilnTemplateCaptions.validate_inputs(template="{trigger}") is True
    assert "brace" in str(captions.KilnTemplateCaptions.validate_inputs(template="{trigger"))


def _finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing, whatever loop the browser's tests run."""
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    return end.value.value


def test_the_nodes_are_registered(comfy: Path) -> None:
    nodes = importlib.import_module("lora_kiln.nodes")
    listed = _finished(nodes.KilnExtension().get_node_list())
    names = {node.__name__ for node in listed}
    assert names >= {"KilnLoadImageFolder", "KilnImagesToDataset", "KilnTemplateCaptions"}
