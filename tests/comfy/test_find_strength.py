"""The strength finder in a real server, from training to the stock loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lora_kiln.devtools.comfy_server import ComfyServer

API = Path(__file__).resolve().parents[1] / "workflows" / "find_strength_demo.api.json"


def test_the_strength_that_was_found_goes_on_into_the_stock_loader(
    comfy_server: ComfyServer,
) -> None:
    prompt: dict[str, Any] = json.loads(API.read_text("utf-8"))
    by_kind = {entry["class_type"]: name for name, entry in prompt.items()}
    train, find = by_kind["KilnTrainLora"], by_kind["KilnFindStrength"]
    prompt[train]["inputs"].update(
        {"run_name": "found", "steps": 4, "warmup_steps": 0, "learning_rate": 0.02}
    )
    prompt[find]["inputs"].update(
        {"strengths": 5, "seeds": 2, "steps": 2, "file_prefix": "found", "highest": 2.0}
    )
    prompt[by_kind["EmptyLatentImage"]]["inputs"]["batch_size"] = 1
    prompt[by_kind["KSampler"]]["inputs"]["steps"] = 2
    outputs = comfy_server.client().run(prompt, timeout_s=300)["outputs"]
    shown = outputs[find]["images"]
    folder = comfy_server.base / "output" / shown[0]["subfolder"]
    told = json.loads((folder / "window.json").read_text("utf-8"))
    assert told
    assert (folder / "window.csv").is_file()
    assert outputs[find]["text"][0]
    assert sum("images" in own for own in outputs.values()) >= 3
