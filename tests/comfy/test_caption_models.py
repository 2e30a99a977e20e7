"""Captions by models in a real server: installed while it runs, asked for by name, and used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lora_kiln.devtools.comfy_client import PromptFailed
from lora_kiln.tests.dataset.tiny_tagger import save_tagger
from lora_kiln.tests.host.tiny_vlm import WORDS, save_llava

if TYPE_CHECKING:
    from lora_kiln.devtools.comfy_server import ComfyServer

TAGS: dict[str, Any] = {
    "general_threshold": 0.01, "character_threshold": 0.85, "trigger": "", "blacklist": "",
    "apply_to": "all pictures", "variable": "tags",
}
QUESTION: dict[str, Any] = {
    "prompt": "woman, man or child?", "trigger": "", "variable": "subject",
    "answers": "woman, man, child", "fallback": "somebody", "apply_to": "all pictures",
    "seed": 0, "max_tokens": 6,
}


def prompt(tagger: str, model: str) -> dict[str, Any]:
    """The demo's pictures, tagged, asked about, and captioned from a template."""
    return {
        "folder": {"class_type": "KilnLoadImageFolder", "inputs": {
            "folder": "demo/style", "background": "white", "custom_background": "#ffffff",
            "caption_extension": ".txt", "subfolders": True,
        }},
        "tag": {"class_type": "KilnTagCaptions", "inputs": {
            "dataset": ["folder", 0], "model": tagger, **TAGS,
        }},
        "ask": {"class_type": "KilnDescribeCaptions", "inputs": {
            "dataset": ["tag", 0], "model": model, **QUESTION,
        }},
        "fill": {"class_type": "KilnTemplateCaptions", "inputs": {
            "dataset": ["ask", 0], "template": "{trigger}, {subject}, {tags|tags:2|default:none}",
            "trigger": "kp", "default_subject": "", "apply_to": "all pictures",
        }},
        "show": {"class_type": "PreviewAny", "inputs": {"source": ["fill", 1]}},
    }


def test_models_are_asked_for_by_name_and_used(comfy_server: ComfyServer) -> None:
    client = comfy_server.client()
    with pytest.raises(PromptFailed) as refused:
        client.run(prompt("wd-swinv2-tagger-v3", "LLM/nowhere"))
    said = str(refused.value)
    assert "SmilingWolf/wd-swinv2-tagger-v3" in said
    assert "Qwen/Qwen2.5-VL-3B-Instruct" in said
    save_tagger(comfy_server.base / "models" / "wd14_tagger" / "small")
    save_llava(comfy_server.base / "models" / "LLM" / "small")
    offered = client.object_info("KilnDescribeCaptions")["KilnDescribeCaptions"]["input"]
    assert "LLM/small" in str(offered["required"]["model"])
    found = client.run(prompt("small", "LLM/small"))
    (text,) = found["outputs"]["show"]["text"]
    lines = text.splitlines()
    assert len(lines) > 3
    for line in lines[:4]:
        trigger, subject, *tags = line.split(": ", 1)[1].split(", ")
        assert trigger == "kp"
        assert subject in ("woman", "man", "child", "somebody")
        assert tags
    assert set(QUESTION["answers"].split(", ")) <= set(WORDS)
