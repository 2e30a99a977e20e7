"""Axis nodes in a real server: checkpoints straight from training, and texts it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lora_kiln.devtools.comfy_client import PromptFailed

if TYPE_CHECKING:
    from lora_kiln.devtools.comfy_server import ComfyServer

API = Path(__file__).resolve().parents[1] / "workflows" / "train_and_sweep_demo.api.json"
RUN_OUTPUT = 4


def prompt_with(node: str, run_name: str = "axes", **inputs: Any) -> dict[str, Any]:
    """The demo's training and sweep alone, with an axis of this kind for the rows."""
    whole: dict[str, Any] = json.loads(API.read_text("utf-8"))
    by_type = {entry["class_type"]: name for name, entry in whole.items()}
    sweep, train = by_type["KilnSweep"], by_type["KilnTrainLora"]
    settings = {"steps": 4, "checkpoint_every": 2, "preview_every": 0, "warmup_steps": 0}
    whole[train]["inputs"].update({**settings, "run_name": run_name})
    whole[sweep]["inputs"].update({"steps": 1, "file_prefix": run_name, "axis_1": ["axis", 0]})
    whole[by_type["KilnAxisCfg"]]["inputs"]["values"] = "4"
    whole["axis"] = {"class_type": node, "inputs": inputs}
    whole["seeds"] = {"class_type": "KilnAxisSeed", "inputs": {"values": "2 from 41"}}
    if "run" in inputs:
        inputs["run"] = [train, RUN_OUTPUT]
    return needed(whole, sweep)


def needed(whole: dict[str, Any], output: str) -> dict[str, Any]:
    """An output node with all that leads to it."""
    found: dict[str, Any] = {}
    names = [output]
    while names:
        name = names.pop()
        found[name] = whole[name]
        links = (v for v in whole[name]["inputs"].values() if isinstance(v, list))
        names += [link[0] for link in links if link[0] not in found]
    return found


def test_the_checkpoints_of_a_run_go_straight_into_a_sweep(comfy_server: ComfyServer) -> None:
    """The links of run and more, none of which exists when the prompt is checked."""
    prompt = prompt_with("KilnAxisCheckpoint", values="2\nlast", run=True, more=["seeds", 0])
    outputs = comfy_server.client().run(prompt, timeout_s=300)["outputs"]
    (shown,) = outputs["axis"]["kiln_axis"]
    assert shown == {"count": 2, "labels": ["step 2", "final"]}
    assert outputs["seeds"]["kiln_axis"][0]["labels"] == ["seed 41", "seed 42"]
    sweep = next(name for name, own in prompt.items() if own["class_type"] == "KilnSweep")
    # No LoRA, step 2 and the finished one; two seeds; one CFG.
    assert len(outputs[sweep]["kiln_sweep"][0]["rows"]) == 6

    # Without the run the same files are found by its name.
    again = prompt_with("KilnAxisCheckpoint", values="kiln/axes-001: 2, 4")
    outputs = comfy_server.client().run(again, timeout_s=300)["outputs"]
    assert outputs["axis"]["kiln_axis"] == [shown]


@pytest.mark.parametrize(
    ("node", "values", "words"),
    [
        ("KilnAxisCheckpoint", "no such lora", "no such lora"),
        ("KilnAxisSampler", "eulr", "euler"),
        ("KilnAxisBlocks", "only", "out0-out2"),
        ("KilnAxisReplace", '"a', "Close the quote"),
    ],
)
def test_a_text_that_means_nothing_is_refused_before_anything_runs(
    comfy_server: ComfyServer, node: str, values: str, words: str
) -> None:
    prompt = prompt_with(node, values=values)
    sweep = next(name for name, own in prompt.items() if own["class_type"] == "KilnSweep")
    # Training shows something by itself: ComfyUI would run it without the sweep.
    del prompt[sweep]["inputs"]["lora"]
    with pytest.raises(PromptFailed, match=words) as failure:
        comfy_server.client().run(needed(prompt, sweep), timeout_s=120)
    assert failure.value.kind == "validation"
