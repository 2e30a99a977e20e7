"""A LoRA that the stock loader passes over, converted and inspected in a real server."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from lora_kiln.devtools.comfy_client import PromptFailed

if TYPE_CHECKING:
    from lora_kiln.devtools.comfy_server import ComfyServer

WORKFLOWS = Path(__file__).resolve().parents[1] / "workflows"
ATTENTION = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1"


def write_lora(folder: Path, name: str) -> str:
    """A LoRA for the demo model in diffusers' names, with a bundled word; returns its list name."""
    generator = torch.Generator().manual_seed(5)
    tensors = {"bundle_emb.my word.clip_l": torch.randn(2, 96, generator=generator)}
    for part in ("to_q", "to_v", "to_out.0"):
        for end, shape in (("A", (4, 128)), ("B", (128, 4))):
            factor = torch.randn(*shape, generator=generator) * 0.3
            tensors[f"{ATTENTION}.{part}.lora_{end}.weight"] = factor
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / name)
    return name


def picture_prompt(lora_name: Any, **more: Any) -> dict[str, Any]:
    """The stock way to a picture, with a LoRA name or a link to one."""
    text = {"class_type": "CLIPTextEncode", "inputs": {"text": "a tree", "clip": ["loader", 1]}}
    return {
        "model": {"class_type": "KilnDemoModel", "inputs": {}},
        "loader": {"class_type": "LoraLoader", "inputs": {
            "lora_name": lora_name, "strength_model": 1.0, "strength_clip": 1.0,
            "model": ["model", 0], "clip": ["model", 1],
        }},
        "text": text,
        "latent": {"class_type": "EmptyLatentImage",
                   "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "sampler": {"class_type": "KSampler", "inputs": {
            "seed": 1, "steps": 4, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal",
            "denoise": 1.0, "model": ["loader", 0], "positive": ["text", 0],
            "negative": ["text", 0], "latent_image": ["latent", 0],
        }},
        "decode": {"class_type": "VAEDecode",
                   "inputs": {"samples": ["sampler", 0], "vae": ["model", 2]}},
        "show": {"class_type": "PreviewImage", "inputs": {"images": ["decode", 0]}},
        **more,
    }


def convert_node(lora_name: str) -> dict[str, Any]:
    return {"class_type": "KilnConvertLora", "inputs": {
        "lora_name": lora_name, "to": "kohya", "dtype": "keep", "fold_alpha": False,
        "lossy": False, "model": ["model", 0], "clip": ["model", 1],
    }}


def inspect_nodes(lora_name: str) -> dict[str, Any]:
    return {
        "inspect": {"class_type": "KilnInspectLora",
                    "inputs": {"lora_name": lora_name, "model": ["model", 0]}},
        "chart": {"class_type": "PreviewImage", "inputs": {"images": ["inspect", 2]}},
    }


def drawn(server: ComfyServer, history: dict[str, Any], node: str = "show") -> np.ndarray:
    shown = history["outputs"][node]["images"][0]
    data = server.client().view(shown["filename"], shown["subfolder"], shown["type"])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_what_the_loader_passes_over_works_once_converted(comfy_server: ComfyServer) -> None:
    loras = comfy_server.base / "models" / "loras"
    name = write_lora(loras, "passed_over.safetensors")
    client = comfy_server.client()
    ignored = client.run(picture_prompt(name, **inspect_nodes(name)), timeout_s=200)
    verdict = ignored["outputs"]["inspect"]["kiln_inspect"][0]
    assert verdict["works"] is False
    assert "reads none of its" in verdict["verdict"] and "Convert" in verdict["remedy"]
    assert drawn(comfy_server, ignored, "chart").std() > 1

    prompt = picture_prompt(["convert", 0], convert=convert_node(name))
    history = client.run(prompt, timeout_s=200)
    converted = history["outputs"]["convert"]["kiln_convert"][0]
    assert converted["lora_name"].replace("\\", "/") == "kiln/passed_over_comfyui.safetensors"
    assert (loras / converted["lora_name"]).is_file()
    assert (comfy_server.base / "models" / "embeddings" / "my_word.safetensors").is_file()
    difference = np.abs(drawn(comfy_server, history) - drawn(comfy_server, ignored))
    assert difference.mean() > 1

    again = client.run(
        picture_prompt(converted["lora_name"], **inspect_nodes(converted["lora_name"])),
        timeout_s=200,
    )
    assert again["outputs"]["inspect"]["kiln_inspect"][0]["works"] is True
    assert np.array_equal(drawn(comfy_server, again), drawn(comfy_server, history))


def test_the_example_workflow_runs(comfy_server: ComfyServer) -> None:
    prompt = json.loads((WORKFLOWS / "lora_files_demo.api.json").read_text("utf-8"))
    for entry in prompt.values():
        if entry["class_type"] == "KilnTrainLora":
            entry["inputs"].update({"steps": 3, "warmup_steps": 0})
        if entry["class_type"] == "KSampler":
            entry["inputs"]["steps"] = 2
    outputs = comfy_server.client().run(prompt, timeout_s=300)["outputs"]
    told = {name: value[0] for output in outputs.values() for name, value in output.items()}
    assert told["kiln_inspect"]["works"] is True
    resized, converted = told["kiln_resize"]["lora_name"], told["kiln_convert"]["lora_name"]
    for name in (resized, converted):
        assert (comfy_server.base / "models" / "loras" / name).is_file()


def test_a_file_that_is_no_lora_is_told(comfy_server: ComfyServer) -> None:
    loras = comfy_server.base / "models" / "loras"
    loras.mkdir(parents=True, exist_ok=True)
    (loras / "broken.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not json at all!")
    prompt = picture_prompt(["convert", 0], convert=convert_node("broken.safetensors"))
    with pytest.raises(PromptFailed) as failure:
        comfy_server.client().run(prompt, timeout_s=120)
    assert "LoraFormatError: broken.safetensors" in str(failure.value)
    assert not (loras / "kiln" / "broken_comfyui.safetensors").exists()
