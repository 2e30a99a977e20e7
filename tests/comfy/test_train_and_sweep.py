"""Training and sweeping in a real ComfyUI server, as a person's browser would ask for it."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from lora_kiln.devtools.comfy_client import PromptFailed

if TYPE_CHECKING:
    from lora_kiln.devtools.comfy_server import ComfyServer

API = Path(__file__).resolve().parents[1] / "workflows" / "train_and_sweep_demo.api.json"


def small_prompt(run_name: str, **train: Any) -> dict[str, Any]:
    """The demo's prompt, with few steps and a small grid."""
    prompt: dict[str, Any] = json.loads(API.read_text("utf-8"))
    settings = {"steps": 4, "checkpoint_every": 2, "preview_every": 0, "warmup_steps": 0}
    _inputs(prompt, "KilnTrainLora").update({"run_name": run_name, **settings, **train})
    _inputs(prompt, "KilnSweep").update({"steps": 4, "file_prefix": run_name})
    _inputs(prompt, "KilnAxisStrength")["values"] = "1"
    _inputs(prompt, "KilnAxisCfg")["values"] = "1, 4"
    _inputs(prompt, "KSampler").update({"steps": 4})
    _inputs(prompt, "EmptyLatentImage").update({"batch_size": 1})
    return prompt


def _node(prompt: dict[str, Any], node_type: str) -> str:
    return next(node for node, entry in prompt.items() if entry["class_type"] == node_type)


def _inputs(prompt: dict[str, Any], node_type: str) -> dict[str, Any]:
    inputs: dict[str, Any] = prompt[_node(prompt, node_type)]["inputs"]
    return inputs


def _stock_picture(server: ComfyServer, history: dict[str, Any], node: str) -> np.ndarray:
    shown = history["outputs"][node]["images"][0]
    data = server.client().view(shown["filename"], shown["subfolder"], shown["type"])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _train_summary(prompt: dict[str, Any], history: dict[str, Any]) -> dict[str, Any]:
    summary: dict[str, Any] = history["outputs"][_node(prompt, "KilnTrainLora")]["kiln_train"][0]
    return summary


def test_every_node_is_registered_with_tooltips_and_help(comfy_server: ComfyServer) -> None:
    info = comfy_server.client().object_info()
    ours = {name: entry for name, entry in info.items() if name.startswith("Kiln")}
    assert set(ours) >= {
        "KilnDemoModel", "KilnLoadImageFolder", "KilnImagesToDataset", "KilnTemplateCaptions",
        "KilnTrainLora", "KilnAxisStrength", "KilnAxisCfg", "KilnSweep",
        "KilnConvertLora", "KilnInspectLora", "KilnMergeLoras", "KilnResizeLora",
        "KilnExtractLora", "KilnBakeStrength", "KilnObjectiveSettings", "KilnAdapterSettings",
    }
    docs = Path(__file__).resolve().parents[2] / "web" / "docs"
    for name, entry in ours.items():
        inputs = {**entry["input"].get("required", {}), **entry["input"].get("optional", {})}
        for key, (_, *options) in inputs.items():
            assert options, (name, key)
            assert options[0].get("tooltip"), (name, key)
        assert all(entry["output_tooltips"]), name
        assert len((docs / f"{name}.md").read_text("utf-8")) > 100, name
        assert entry["category"].startswith("LoRA Kiln/"), name


def test_training_feeds_the_stock_loader_and_the_sweep(comfy_server: ComfyServer) -> None:
    prompt = small_prompt("whole_way")
    logged = len(comfy_server.log())
    history = comfy_server.client().run(prompt, timeout_s=300)
    trained = _train_summary(prompt, history)
    swept = history["outputs"][_node(prompt, "KilnSweep")]["kiln_sweep"][0]
    assert trained["lora_name"].replace("\\", "/") == "kiln/whole_way-001.safetensors"
    assert (comfy_server.base / "models" / "loras" / trained["lora_name"]).is_file()
    assert swept["notes"][0] == "252 of 252 keys matched"
    assert [row["mode"] for row in swept["rows"]] == ["batched"] * 4
    assert [row["strength"] for row in swept["rows"]] == [0.0, 0.0, 1.0, 1.0]
    assert max(row["parity"] or 0.0 for row in swept["rows"]) < 1e-4
    folder = comfy_server.base / "output" / swept["folder"]
    assert (folder / "grid.png").is_file()
    assert len(list((folder / "cells").glob("*.png"))) == 4
    assert "lora key not loaded" not in comfy_server.log()[logged:]


def test_a_retrained_lora_is_never_served_stale(comfy_server: ComfyServer) -> None:
    client = comfy_server.client()
    pictures, names = [], []
    for rate in (1e-3, 2e-2):
        prompt = small_prompt("retrained", learning_rate=rate)
        history = client.run(prompt, timeout_s=300)
        names.append(_train_summary(prompt, history)["lora_name"])
        decoded = next(
            node for node, entry in prompt.items()
            if entry["class_type"] == "PreviewImage"
            and prompt[entry["inputs"]["images"][0]]["class_type"] == "VAEDecode"
        )
        pictures.append(_stock_picture(comfy_server, history, decoded))
    assert names[0] != names[1]
    assert not np.array_equal(pictures[0], pictures[1])


def test_an_unchanged_finished_run_returns_at_once(comfy_server: ComfyServer) -> None:
    client = comfy_server.client()
    prompt = small_prompt("again")
    first = _train_summary(prompt, client.run(prompt, timeout_s=300))
    # What changes no training makes the server ask again, not from its own cache.
    renewed = copy.deepcopy(prompt)
    _inputs(renewed, "KilnTrainLora")["preview_steps"] = 9
    second = _train_summary(renewed, client.run(renewed, timeout_s=300))
    assert (first["trained_steps"], second["trained_steps"]) == (4, 0)
    assert second["lora_name"] == first["lora_name"]


def test_cancel_saves_and_the_next_queueing_goes_on(comfy_server: ComfyServer) -> None:
    client = comfy_server.client()
    prompt = small_prompt("cancelled", steps=400, checkpoint_every=0)
    train = _node(prompt, "KilnTrainLora")

    def cancel_at_ten(event: dict[str, Any]) -> None:
        data = event.get("data") or {}
        if event["type"] == "progress" and data.get("node") == train and (
            data.get("max") == 400 and data.get("value", 0) >= 10
        ):
            client.interrupt()

    with pytest.raises(PromptFailed) as failure:
        client.run(prompt, on_event=cancel_at_ten, timeout_s=300)
    assert failure.value.kind == "interrupted"
    checkpoints = comfy_server.base / "output" / "kiln" / "cancelled-001" / "checkpoints"
    (saved,) = checkpoints.glob("step_*")
    step = int(saved.name.removeprefix("step_"))
    assert 10 <= step < 400
    metrics = (checkpoints.parent / "metrics.jsonl").read_text("utf-8").splitlines()
    assert len(metrics) == step
    loras = comfy_server.base / "models" / "loras" / "kiln" / "cancelled-001"
    assert (loras / f"step_{step:06d}.safetensors").is_file()
    again = copy.deepcopy(prompt)
    _inputs(again, "KilnTrainLora")["preview_steps"] = 9
    stopped = []

    def cancel_later(event: dict[str, Any]) -> None:
        data = event.get("data") or {}
        if event["type"] == "progress" and data.get("max") == 400:
            stopped.append(data["value"])
            if data["value"] >= step + 3:
                client.interrupt()

    with pytest.raises(PromptFailed):
        client.run(again, on_event=cancel_later, timeout_s=300)
    assert min(value for value in stopped if value) >= step
    metrics = (checkpoints.parent / "metrics.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["step"] for line in metrics] == list(range(1, len(metrics) + 1))
    assert len(metrics) >= step + 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run_name": "../outside"}, "run name"),
        ({"rank": 0}, "rank"),
    ],
)
def test_bad_settings_are_told_in_a_sentence(
    comfy_server: ComfyServer, changes: dict[str, Any], words: str
) -> None:
    prompt = small_prompt("bad")
    _inputs(prompt, "KilnTrainLora").update(changes)
    with pytest.raises(PromptFailed) as failure:
        comfy_server.client().run(prompt, timeout_s=120)
    assert words in str(failure.value).lower()
    assert not list((comfy_server.base / "output" / "kiln").glob("bad-*"))
