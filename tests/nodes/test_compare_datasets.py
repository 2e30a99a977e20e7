"""A dataset against a run's, and against another dataset."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

from lora_kiln.core.errors import KilnError
from lora_kiln.dataset.items import Dataset
from lora_kiln.dataset.manifest import manifest_of, write_manifest
from lora_kiln.dataset.scan import scan_folder


@pytest.fixture
def module(comfy: Path) -> ModuleType:
    return importlib.import_module("lora_kiln.nodes.compare_datasets")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    Image.new("RGB", (300, 300), "red").save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("a cat")
    return scan_folder(tmp_path, name="cats")


def run(node: Any, **inputs: Any) -> tuple[Any, ...]:
    clone = node.PREPARE_CLASS_CLONE(None)
    with torch.inference_mode():
        return tuple(clone.execute(**inputs).args)


def test_against_a_run_and_a_dataset(module: ModuleType, dataset: Dataset) -> None:
    paths = importlib.import_module("lora_kiln.host.paths")
    folder = paths.runs_folder() / "compared_cats-001"
    folder.mkdir(parents=True)
    write_manifest(folder, manifest_of(dataset))
    node = module.KilnCompareDatasets
    assert "compared_cats-001" in node.GET_SCHEMA().inputs[1].options
    assert run(node, dataset=dataset, run="compared_cats-001") == ("Nothing changed.", False)
    changed = dataset.with_captions(["a dog"])
    text, is_changed = run(node, dataset=changed, run=module.CONNECTED, before=dataset)
    assert text.startswith("1 caption changed.") and is_changed
    with pytest.raises(KilnError, match="nothing to compare with"):
        run(node, dataset=changed, run=module.CONNECTED)
    with pytest.raises(KilnError, match="leads out"):
        run(node, dataset=replace(changed), run="../../etc")
