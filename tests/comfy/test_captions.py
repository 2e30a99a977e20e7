"""Captions in a real server: from a folder over template and edits into text files, and back."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

if TYPE_CHECKING:
    from lora_kiln.devtools.comfy_server import ComfyServer

LONG = ", ".join(["a tall girl", *(f"very long hair{i}, looking at viewer" for i in range(12))])


@pytest.fixture
def plates(comfy_server: ComfyServer) -> Iterator[Path]:
    folder = comfy_server.base / "input" / "caption_plates"
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        Image.new("RGB", (160, 128), "red").save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"old {name}", encoding="utf-8")
    yield folder
    shutil.rmtree(folder)


def graph(mode: str) -> dict[str, Any]:
    """Load, template, edit, save; optional widgets are left out, as old graphs leave them."""
    return {
        "load": {"class_type": "KilnLoadImageFolder", "inputs": {
            "folder": "input/caption_plates", "background": "white",
            "custom_background": "#ffffff", "caption_extension": ".txt", "subfolders": True,
        }},
        "model": {"class_type": "KilnDemoModel", "inputs": {}},
        "template": {"class_type": "KilnTemplateCaptions", "inputs": {
            "dataset": ["load", 0], "template": "{caption}, long_hair", "trigger": "",
            "default_subject": "", "apply_to": "all pictures",
        }},
        "edit": {"class_type": "KilnEditCaptions", "inputs": {
            "dataset": ["template", 0], "find": "old", "replace": "new", "find_as": "text",
            "match_case": False, "trigger": "anat", "append": "", "remove_tags": "",
            "remove_identity": True, "remove_duplicates": True, "order": "as it is",
            "keep_tokens": 0, "seed": 0, "clip": ["model", 1],
        }},
        "save": {"class_type": "KilnSaveCaptions", "inputs": {
            "dataset": ["edit", 0], "mode": mode, "folder": "mine",
        }},
        "shown": {"class_type": "PreviewAny", "inputs": {"source": ["edit", 1]}},
        "summary": {"class_type": "PreviewAny", "inputs": {"source": ["save", 1]}},
    }


def texts(folder: Path) -> list[str]:
    return [(folder / f"{name}.txt").read_text("utf-8") for name in ("a", "b")]


def shown(result: Any, node: str) -> str:
    return str(result["outputs"][node]["text"][0])


def test_save_and_undo(comfy_server: ComfyServer, plates: Path) -> None:
    result = comfy_server.client().run(graph("overwrite"), timeout_s=200)
    assert texts(plates) == ["anat, new a", "anat, new b"]
    assert "2 of 2 captions change." in shown(result, "shown")
    assert "a.png: anat, new a [5/75 tokens]" in shown(result, "shown")
    assert "2 caption files written" in shown(result, "summary")
    result = comfy_server.client().run(graph("undo the last save"), timeout_s=200)
    assert "2 caption files are as before" in shown(result, "summary")
    assert texts(plates) == ["old a", "old b"]


def test_encode_prompt_draws(comfy_server: ComfyServer) -> None:
    """Whole tags give other pictures than stock for long prompts, and the same for short ones."""

    def picture(text: str, node: str, **inputs: Any) -> bytes:
        prompt = {
            "model": {"class_type": "KilnDemoModel", "inputs": {}},
            "text": {"class_type": node, "inputs": {"text": text, "clip": ["model", 1], **inputs}},
            "latent": {"class_type": "EmptyLatentImage",
                       "inputs": {"width": 64, "height": 64, "batch_size": 1}},
            "sampler": {"class_type": "KSampler", "inputs": {
                "seed": 1, "steps": 2, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal",
                "denoise": 1.0, "model": ["model", 0], "positive": ["text", 0],
                "negative": ["text", 0], "latent_image": ["latent", 0],
            }},
            "decode": {"class_type": "VAEDecode",
                       "inputs": {"samples": ["sampler", 0], "vae": ["model", 2]}},
            "show": {"class_type": "PreviewImage", "inputs": {"images": ["decode", 0]}},
        }
        client = comfy_server.client()
        (image,) = client.run(prompt, timeout_s=200)["outputs"]["show"]["images"]
        data = client.view(image["filename"], image["subfolder"], image["type"])
        return Image.open(io.BytesIO(data)).tobytes()

    kiln = {"chunks": "whole tags", "reading": "as a prompt"}
    for text, same in (("a (red:1.2) tree", True), (LONG, False)):
        stock = picture(text, "CLIPTextEncode")
        assert (picture(text, "KilnEncodePrompt", **kiln) == stock) == same
    assert picture(LONG, "KilnEncodePrompt", **kiln | {"chunks": "stock"}) == picture(
        LONG, "CLIPTextEncode"
    )


def test_the_captions_demo_runs(comfy_server: ComfyServer) -> None:
    api = Path(__file__).resolve().parents[1] / "workflows" / "captions_demo.api.json"
    outputs = comfy_server.client().run(json.loads(api.read_text("utf-8")))["outputs"]
    assert "+ kilnprint, a circle on a plain ground, cyanotype" in outputs["5"]["text"][0]
    assert "12 pictures in 6 sizes" in outputs["8"]["text"][0]
    assert len(outputs["7"]["images"]) == 2
    assert outputs["9"]["kiln_review"][0]["pictures"] == 12
