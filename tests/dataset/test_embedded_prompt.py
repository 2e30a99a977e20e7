"""Prompts found in graphs and in files."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lora_kiln.dataset.embedded_prompt import prompt_of_file, prompt_of_graph


def nodes(**inputs: dict[str, Any]) -> dict[str, Any]:
    return {name[1:]: {"class_type": "X", "inputs": own} for name, own in inputs.items()}


PLAIN = nodes(
    n1={"text": "negative"}, n2={"text": "a lighthouse"}, n5={"noise": 3},
    n3={"positive": ["2", 0], "negative": ["1", 0], "latent": ["5", 0]}, n4={"images": ["3", 0]},
)


def test_the_positive_prompt_is_found_upstream() -> None:
    assert prompt_of_graph(PLAIN, "4") == "a lighthouse"
    # Through a text of its own node, and a conditioning that is combined on the way.
    far = PLAIN | nodes(n2={"conditioning": ["7", 0]}, n7={"text": ["8", 0], "clip": ["9", 0]},
                        n8={"value": "a quiet bay"})
    assert prompt_of_graph(far, "4") == "a quiet bay"
    # A sampler with a guider, as Flux graphs have it.
    guided = nodes(n1={"images": ["2", 0]}, n2={"guider": ["3", 0], "noise": ["5", 0]},
                   n3={"conditioning": ["4", 0]}, n4={"text": "fog"}, n5={"noise_seed": 1})
    assert prompt_of_graph(guided, "1") == "fog"
    assert prompt_of_graph(nodes(n1={"images": ["2", 0]}, n2={"image": "a.png"}), "1") is None
    # A circle ends, too.
    assert prompt_of_graph(nodes(n1={"a": ["2", 0]}, n2={"a": ["1", 0]}), "1") is None


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        ({"prompt": json.dumps(PLAIN)}, "a lighthouse"),
        ({"parameters": "a cat,\n(x:1.2)\nNegative prompt: dog\nSteps: 20"}, "a cat,\n(x:1.2)"),
        ({"parameters": "a cat\nSteps: 20, Sampler: Euler"}, "a cat"),
        ({"prompt": "[" * 100_000}, None), ({"prompt": "{"}, None), ({"prompt": "[1]"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_prompts_of_files(tmp_path: Path, texts: dict[str, str], wanted: str | None) -> None:
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", pnginfo=info)
    assert prompt_of_file(tmp_path / "a.png") == wanted


def test_other_files_have_none(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    Image.new("RGB", (4, 4)).save(tmp_path / "b.jpg")
    assert prompt_of_file(tmp_path / "a.png") is None
    assert prompt_of_file(tmp_path / "b.jpg") is None


values = st.recursive(
    st.none() | st.integers() | st.text(max_size=6) | st.lists(st.sampled_from(["1", "2", 0, 1])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
names = st.sampled_from(["positive", "text", "conditioning", "images", "guider"])


@given(st.dictionaries(st.sampled_from("123"), st.fixed_dictionaries(
    {"inputs": st.dictionaries(names, values)}) | values), st.sampled_from("123"))
def test_any_graph_is_survived(graph: Any, start: str) -> None:
    found = prompt_of_graph(graph, start)
    assert found is None or found.strip() == found != ""


def test_a_graph_made_to_hang_does_not(tmp_path: Path) -> None:
    """A picture of strangers may bring a megabyte of nodes that lead nowhere."""
    many: dict[str, Any] = {str(number): {} for number in range(60_000)}
    wide = {"0": {"inputs": {f"{n}": [f"{n}", 0] for n in range(40_000)}}}
    began = time.monotonic()
    for name, graph in (("many", many), ("wide", wide)):
        info = PngInfo()
        info.add_text("prompt", json.dumps(graph))
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png", pnginfo=info)
        assert prompt_of_file(tmp_path / f"{name}.png") is None
    assert time.monotonic() - began < 30
