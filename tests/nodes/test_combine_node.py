"""Combining datasets in a graph."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

PARTS = ("repeats", "weight", "role")


@pytest.fixture
def combine(comfy: Path) -> ModuleType:
    return importlib.import_module("lora_kiln.nodes.combine")


@pytest.fixture
def data(comfy: Path) -> ModuleType:
    return importlib.import_module("lora_kiln.nodes.data")


def run(node: Any, **inputs: Any) -> tuple[Any, ...]:
    """Execute a node as ComfyUI does: on a prepared clone, in inference mode."""
    clone = node.PREPARE_CLASS_CLONE(None)
    with torch.inference_mode():
        return tuple(clone.execute(**inputs).args)


def images(data: ModuleType, name: str, count: int) -> Any:
    made = [torch.rand(count, 16, 16, 3)]
    return run(data.KilnImagesToDataset, images=made, caption=[name], name=[name])[0]


def test_inputs_are_explained_and_all_but_the_first_may_be_left_out(combine: ModuleType) -> None:
    schema = combine.KilnCombineDatasets.GET_SCHEMA()
    names = [socket.id for socket in schema.inputs]
    assert names[:5] == ["dataset_1", "dataset_2", "dataset_3", "dataset_4", "repeats_1"]
    assert [socket.id for socket in schema.inputs if not socket.optional] == ["dataset_1"]
    assert all(socket.tooltip for socket in (*schema.inputs, *schema.outputs))
    assert set(names) == {
        "name",
        *(f"{part}_{slot}" for slot in range(1, 5) for part in ("dataset", *PARTS)),
    }


def test_what_is_connected_is_put_together(combine: ModuleType, data: ModuleType) -> None:
    dataset, count, summary = run(
        combine.KilnCombineDatasets,
        dataset_1=images(data, "mine", 2),
        dataset_3=images(data, "woman", 3),
        repeats_1=10.0,
        weight_3=0.5,
        role_3="regularisation",
        name=" all ",
    )
    assert (dataset.name, count) == ("all", 5)
    assert [item.repeats for item in dataset.items] == [10.0, 10.0, 1.0, 1.0, 1.0]
    assert [item.weight for item in dataset.items] == [1.0, 1.0, 0.5, 0.5, 0.5]
    assert "Roles: train 2, regularisation 3, validation 0." in summary
    assert "Shown in a round: 3 pictures 1 times, 2 pictures 10 times." in summary
    alone = run(combine.KilnCombineDatasets, dataset_1=images(data, "mine", 1))[0]
    assert (alone.name, alone.items[0].name) == ("combined", "mine_001")


def test_out_of_range_is_told(combine: ModuleType, data: ModuleType) -> None:
    with pytest.raises(ValueError, match="repeats is 0"):
        run(combine.KilnCombineDatasets, dataset_1=images(data, "mine", 1), repeats_1=0.0)
