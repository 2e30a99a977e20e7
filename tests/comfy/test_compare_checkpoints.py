"""From training to checkpoint x strength x seed, scores, and the winner in the stock loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lora_kiln.devtools.comfy_client import PromptFailed

if TYPE_CHECKING:
    from lora_kiln.devtools.comfy_server import ComfyServer

API = Path(__file__).resolve().parents[1] / "workflows" / "compare_checkpoints_demo.api.json"


def small_prompt(run_name: str, seeds: str = "2 from 71", **score: Any) -> dict[str, Any]:
    """The example workflow, a few steps long, with seeds that no other test draws."""
    prompt: dict[str, Any] = json.loads(API.read_text("utf-8"))
    inputs_of(prompt, "KilnTrainLora").update(
        {"run_name": run_name, "steps": 4, "checkpoint_every": 2, "preview_every": 0,
         "warmup_steps": 0, "learning_rate": 0.01}
    )  # fmt: skip
    inputs_of(prompt, "KilnAxisSeed")["values"] = seeds
    inputs_of(prompt, "KilnSweep").update({"steps": 2, "file_prefix": run_name})
    inputs_of(prompt, "KilnScoreSweep").update(score)
    inputs_of(prompt, "EmptyLatentImage")["batch_size"] = 1
    return prompt


def node_of(prompt: dict[str, Any], kind: str) -> str:
    return next(name for name, entry in prompt.items() if entry["class_type"] == kind)


def inputs_of(prompt: dict[str, Any], kind: str) -> dict[str, Any]:
    inputs: dict[str, Any] = prompt[node_of(prompt, kind)]["inputs"]
    return inputs


def test_the_winner_goes_on_into_the_stock_loader(comfy_server: ComfyServer) -> None:
    client = comfy_server.client()
    prompt = small_prompt("compared")
    history = client.run(prompt, timeout_s=300)
    swept = history["outputs"][node_of(prompt, "KilnSweep")]["kiln_sweep"][0]
    rows = swept["rows"]
    # Two checkpoints, strengths 0, 0.5, 1 and 1.5, two seeds.
    assert len(rows) == 16
    assert {row["lora"] for row in rows} == {
        str(Path("kiln", "compared-001", "step_000002.safetensors")),
        str(Path("kiln", "compared-001.safetensors")),
    }
    assert {row["mode"] for row in rows} == {"batched"}
    assert {row["origin"] for row in rows} == {"drawn"}
    (parity,) = {row["parity"] for row in rows if row["parity"] is not None}
    assert parity <= 1e-4
    folder = comfy_server.base / "output" / swept["folder"]
    decision = json.loads((folder / "decision.json").read_text("utf-8"))
    assert decision["decided_by"] == "shortlist suggestion"
    assert (folder / "scores.csv").is_file()

    # The person decides; nothing of the grid is drawn again, and the stock loader takes it.
    prompt = small_prompt("compared", choice=6)
    inputs_of(prompt, "KilnSweep")["file_prefix"] = "compared again"
    history = client.run(prompt, timeout_s=300)
    again = history["outputs"][node_of(prompt, "KilnSweep")]["kiln_sweep"][0]
    assert {row["origin"] for row in again["rows"]} == {"stored"}
    chosen = json.loads(
        (comfy_server.base / "output" / again["folder"] / "decision.json").read_text("utf-8")
    )
    assert (chosen["cell"], chosen["decided_by"]) == (6, "person")
    pictures = [entry["class_type"] for entry in prompt.values()].count("PreviewImage")
    assert sum("images" in own for own in history["outputs"].values()) >= pictures


def test_a_choice_outside_of_the_sweep_is_refused(comfy_server: ComfyServer) -> None:
    prompt = small_prompt("refused", seeds="2 from 81", choice=999)
    with pytest.raises(PromptFailed, match="999"):
        comfy_server.client().run(prompt, timeout_s=300)
