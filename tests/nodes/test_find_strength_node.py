"""The strength finder's node: its schema, and whole searches on a tiny model."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from lora_kiln.core.errors import KilnError

ROOT = Path(__file__).resolve().parents[2]
SETTINGS: dict[str, Any] = {
    "prompts": "a star\n\na boat\na star", "negative": "", "lowest": 0.0, "highest": 2.0,
    "strengths": 6, "seeds": 2, "seed": 3, "steps": 2, "cfg": 4.0, "sampler": "euler",
    "scheduler": "normal", "width_px": 64, "height_px": 64, "file_prefix": "test strength",
}  # fmt: skip


@pytest.fixture(scope="module")
def wires(comfy: Path) -> dict[str, Any]:
    """MODEL, CLIP and VAE, with a LoRA file in the stock loader's folder."""
    from lora_kiln.host import demo_model
    from lora_kiln.tests.host import tiny_sdxl

    with torch.inference_mode():
        model, clip, vae = tiny_sdxl.make_model(), tiny_sdxl.make_clip(), demo_model._make_vae()
    strong = tiny_sdxl.lora_tensors(model, size=0.6)
    tiny_sdxl.write_lora(comfy, "find_strong.safetensors", strong)
    return {"model": model, "clip": clip, "vae": vae}


@pytest.fixture
def nodes(comfy: Path) -> ModuleType:
    return importlib.import_module("lora_kiln.nodes.find_strength")


def run(node: Any, **inputs: Any) -> Any:
    """Execute a node as ComfyUI does: on a prepared clone, in inference mode."""
    io = importlib.import_module("comfy_api.latest").io
    hidden = {
        io.Hidden.prompt: {"1": "graph"},
        io.Hidden.extra_pnginfo: {"workflow": {"nodes": []}},
    }
    clone = node.PREPARE_CLASS_CLONE({"hidden_inputs": hidden})
    with torch.inference_mode():
        return clone.execute(**inputs)


def test_every_input_and_output_is_explained(nodes: ModuleType) -> None:
    (node,) = nodes.NODES
    schema = node.GET_SCHEMA()
    assert schema.node_id == node.__name__ == "KilnFindStrength"
    assert schema.is_output_node
    for socket in (*schema.inputs, *schema.outputs):
        assert socket.tooltip, socket
    assert (ROOT / "web" / "docs" / "KilnFindStrength.md").is_file()
    required = set(node.INPUT_TYPES()["required"])
    assert required == {*SETTINGS, "model", "clip", "vae", "lora_name"}


def test_an_empty_range_is_refused_before_the_graph_runs(nodes: ModuleType) -> None:
    validate = nodes.KilnFindStrength.validate_inputs
    assert validate() is True
    assert validate(lowest=0.0, highest=1.6, strengths=13) is True
    assert "1.5 to 1" in validate(lowest=1.5, highest=1.0, strengths=13)


def test_a_search_over_prompts_and_cfg(
    nodes: ModuleType, wires: dict[str, Any], comfy: Path
) -> None:
    axes = importlib.import_module("lora_kiln.nodes.axes")
    axis = next(node for node in axes.NODES if node.__name__ == "KilnAxisCfg")
    scales = run(axis, values="2, 6").args[0]
    out = run(
        nodes.KilnFindStrength, **wires, **SETTINGS, lora_name="find_strong.safetensors",
        cfg_axis=scales,
    )
    recommended, last, broken, name, plot, pictures, report = out.args
    assert 0 <= recommended <= last <= broken <= 2.0
    assert name == "find_strong.safetensors"
    assert plot.shape[0] == 5
    assert pictures.shape[0] == 4
    assert report.startswith("Recommended strength")
    folder = comfy / "output" / "kiln" / "sweeps" / "test strength_00001"
    document = json.loads((folder / "window.json").read_text("utf-8"))
    assert [(own["prompt"], own["cfg"]) for own in document["subjects"]] == [
        ("a star", 2.0), ("a boat", 2.0), ("a star", 6.0), ("a boat", 6.0),
    ]  # fmt: skip
    assert document["recommended"] == recommended
    cells = sorted(folder.glob("cells/*.png"))
    assert 4 * 2 * 5 <= len(cells) <= 4 * 2 * 6
    assert len((folder / "window.csv").read_text("utf-8").splitlines()) == len(cells) + 1
    assert {path.name for path in folder.glob("*.png")} >= {"plot.png", "grid_4.png", "map.png"}
    assert [own["filename"] for own in out.ui["images"]][-1] == "map.png"


def test_a_wrong_axis_says_what_belongs_there(nodes: ModuleType, wires: dict[str, Any]) -> None:
    from lora_kiln.sweep.axis import AxisValues

    with pytest.raises(KilnError, match="Expected a CFG axis"):
        run(
            nodes.KilnFindStrength, **wires, **SETTINGS, lora_name="find_strong.safetensors",
            cfg_axis=(AxisValues("strength", (0.0, 1.0)),),
        )


def test_a_vision_model_scores_when_it_is_there(
    nodes: ModuleType, wires: dict[str, Any], comfy: Path
) -> None:
    """Every picture is embedded by the real encoder, and that is what counts."""
    from lora_kiln.tests.host.tiny_vision import make_vision

    inputs = {**SETTINGS, "prompts": "a star", "seeds": 1, "strengths": 5}
    lora = {"lora_name": "find_strong.safetensors"}
    run(nodes.KilnFindStrength, **wires, **inputs, **lora)
    run(nodes.KilnFindStrength, **wires, **inputs, **lora, clip_vision=make_vision())
    folders = sorted((comfy / "output" / "kiln" / "sweeps").glob("test strength_*"))[-2:]
    scores = []
    for folder in folders:
        document = json.loads((folder / "window.json").read_text("utf-8"))
        seen = document["subjects"][0]["observations"]
        scores.append({own["strength"]: own["score"] for own in seen})
    same = set(scores[0]) & set(scores[1]) - {0.0}
    assert same
    assert any(scores[0][strength] != scores[1][strength] for strength in same)


def test_without_a_lora_it_says_what_to_do(nodes: ModuleType, wires: dict[str, Any]) -> None:
    with pytest.raises(KilnError, match="Find Strength has no LoRA"):
        run(nodes.KilnFindStrength, **wires, **SETTINGS, lora_name=nodes.CONNECTED)
