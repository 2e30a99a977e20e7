"""Bucket nodes: chosen sizes go into the preview and into training."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

from lora_kiln.dataset.scan import scan_folder


@pytest.fixture
def nodes(comfy: Path) -> ModuleType:
    return importlib.import_module("lora_kiln.nodes.buckets")


def run(node: Any, **inputs: Any) -> tuple[Any, ...]:
    clone = node.PREPARE_CLASS_CLONE(None)
    with torch.inference_mode():
        return tuple(clone.execute(**inputs).args)


def test_every_input_and_output_is_explained(nodes: ModuleType) -> None:
    for node in nodes.NODES:
        schema = node.GET_SCHEMA()
        assert all(entry.tooltip for entry in (*schema.inputs, *schema.outputs))


def test_sizes_are_chosen_and_shown(nodes: ModuleType, tmp_path: Path) -> None:
    for number, size in enumerate([(600, 600), (800, 600)]):
        Image.new("RGB", size, "red").save(tmp_path / f"{number}.png")
    dataset = scan_folder(tmp_path, name="two")
    (choices,) = run(nodes.KilnBucketSettings, more_resolutions="256", step_px=32)
    pages, text, lost = run(
        nodes.KilnPreviewBuckets, dataset=dataset, resolution=512, batch_size=2, buckets=choices
    )
    assert pages.shape == (2, 1200, 1600, 3) and pages.min() >= 0 and pages.max() <= 1
    assert "4 pictures in 4 sizes" in text and "256 × 256: 1" in text
    assert 0 <= lost < 0.05
    _, plain, _ = run(nodes.KilnPreviewBuckets, dataset=dataset, resolution=512, batch_size=1)
    assert "2 pictures in 2 sizes" in plain and "fewer" not in plain


def test_what_is_no_list_of_resolutions_is_refused_at_once(nodes: ModuleType) -> None:
    assert nodes.KilnBucketSettings.validate_inputs(more_resolutions="768, 512") is True
    assert "more_resolutions" in nodes.KilnBucketSettings.validate_inputs(more_resolutions="big")


def test_training_takes_the_sizes(nodes: ModuleType) -> None:
    train = importlib.import_module("lora_kiln.nodes.train").KilnTrainLora.GET_SCHEMA()
    (sizes,) = [entry for entry in train.inputs if entry.id == "buckets"]
    assert sizes.optional
