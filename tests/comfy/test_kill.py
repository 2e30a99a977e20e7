"""A server that is killed in the middle of a run loses nothing that was checkpointed."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from lora_kiln.devtools.comfy_client import PromptFailed, ServerGone
from lora_kiln.devtools.comfy_server import ComfyServer

API = Path(__file__).resolve().parents[1] / "workflows" / "train_and_sweep_demo.api.json"
STEPS = 30


def training_only(run_name: str) -> dict[str, Any]:
    """The demo's model, pictures and training, without what comes after it."""
    prompt: dict[str, Any] = json.loads(API.read_text("utf-8"))
    kept = ("KilnDemoModel", "KilnLoadImageFolder", "KilnTrainLora")
    prompt = {node: entry for node, entry in prompt.items() if entry["class_type"] in kept}
    for entry in prompt.values():
        if entry["class_type"] == "KilnTrainLora":
            entry["inputs"].update(
                run_name=run_name, steps=STEPS, checkpoint_every=5, preview_every=0
            )
    return prompt


def losses(folder: Path) -> list[tuple[int, float]]:
    """Step and loss of every line of the metrics."""
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    return [(entry["step"], entry["loss"]) for entry in map(json.loads, lines)]


@pytest.mark.slow
@pytest.mark.server
def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been() -> None:
    prompt = training_only("killed")
    with ComfyServer(threads=1) as server:
        run = server.base / "output" / "kiln" / "killed-001"

        def kill_after_first_checkpoint() -> None:
            while not (run / "checkpoints" / "step_000005" / "state.json").is_file():
                time.sleep(0.05)
            server.kill()

        killer = threading.Thread(target=kill_after_first_checkpoint)
        killer.start()
        with pytest.raises((PromptFailed, ServerGone, OSError)):
            server.client().run(prompt, timeout_s=240)
        killer.join()
        server.start()
        server.client().run(prompt, timeout_s=240)
        assert [step for step, _ in losses(run)] == list(range(1, STEPS + 1))
        assert not list(run.rglob("*.kiln-tmp"))
        server.client().run(training_only("untouched"), timeout_s=240)
        untouched = server.base / "output" / "kiln" / "untouched-001"
        assert losses(run) == losses(untouched)
        loras = server.base / "models" / "loras" / "kiln"
        killed, whole = (loras / f"{name}-001.safetensors" for name in ("killed", "untouched"))
        from safetensors.torch import load_file

        first, second = load_file(killed), load_file(whole)
        assert all((first[name] == second[name]).all() for name in first)
