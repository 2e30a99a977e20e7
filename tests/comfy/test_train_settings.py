"""The settings nodes in a real server: the picture of shares, and a LoRA that they shaped."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from lora_kiln.devtools.comfy_client import PromptFailed

if TYPE_CHECKING:
    from lora_kiln.devtools.comfy_server import ComfyServer

API = Path(__file__).resolve().parents[1] / "workflows" / "train_settings_demo.api.json"


def prompt(run_name: str, **changes: Any) -> dict[str, Any]:
    """The example workflow, a few steps long; ``changes`` are the objective's or the adapter's."""
    graph: dict[str, Any] = json.loads(API.read_text("utf-8"))
    for node in graph.values():
        if node["class_type"] == "KilnTrainLora":
            node["inputs"] |= {
                "run_name": run_name, "steps": 3, "warmup_steps": 0, "preview_every": 0,
            }
        node["inputs"] |= {
            name: value for name, value in changes.items() if name in node["inputs"]
        }
        if node["class_type"] == "KSampler":
            node["inputs"]["steps"] = 2
    return graph


def outputs_of(graph: dict[str, Any], history: dict[str, Any], kind: str) -> list[Any]:
    return [
        history["outputs"][number] for number, node in graph.items()
        if node["class_type"] == kind and number in history["outputs"]
    ]


def test_the_example_workflow_runs(comfy_server: ComfyServer) -> None:
    graph, client = prompt("settings"), comfy_server.client()
    history = client.run(graph, timeout_s=300)
    pictures = outputs_of(graph, history, "PreviewImage")
    assert len(pictures) == 3
    for shown in pictures:
        image = shown["images"][0]
        data = client.view(image["filename"], image["subfolder"], image["type"])
        assert np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).std() > 1
    (summary,) = outputs_of(graph, history, "KilnTrainLora")
    name = summary["kiln_train"][0]["lora_name"]
    with safe_open(comfy_server.base / "models" / "loras" / name, "pt") as file:
        shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    ranks = {
        key: shape[0] for key, shape in shapes.items() if key.endswith("lora_down.weight")
    }
    # The purpose is a style, so convolutions are trained; the block rule made the middle smaller.
    assert any(".in_layers" in key or "_in_layers_" in key for key in ranks)
    assert {rank for key, rank in ranks.items() if "middle_block" in key} == {4}
    assert {rank for key, rank in ranks.items() if "middle_block" not in key} == {8}
    run = comfy_server.base / "output" / "kiln" / summary["kiln_train"][0]["run"]
    recipe = json.loads((run / "run.json").read_text("utf-8"))["recipe"]
    assert recipe["weighting"] == "min_snr" and recipe["gamma"] == 5.0
    assert recipe["loss"] == "huber" and recipe["objective"] == "eps"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"block_weights": "in9x: off off"}, "block_weights has the line"),
        ({"block_weights": "layer3: off"}, "block_weights speaks of layer3"),
        ({"prediction": "flow"}, "fail to say which"),
        ({"targets": "refiners"}, "targets is 'refiners'"),
        ({"prediction": "v", "zero_terminal_snr": "on"}, "noise_offset is 0.03"),
    ],
)
def test_what_means_nothing_is_refused(
    comfy_server: ComfyServer, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(PromptFailed, match=told):
        comfy_server.client().run(prompt("refused", **changes), timeout_s=300)
