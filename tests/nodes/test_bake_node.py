"""Bake Strength as a node, on a small model inside of ComfyUI."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from lora_kiln.core.errors import KilnError
from lora_kiln.lora_format.published import PublishedLora, file_sha256

ROOT = Path(__file__).resolve().parents[2]
FILE = "bake_source.safetensors"


@pytest.fixture(scope="module")
def tiny(comfy: Path) -> ModuleType:
    from lora_kiln.tests.host import tiny_sdxl

    return tiny_sdxl


@pytest.fixture(scope="module")
def model(tiny: ModuleType) -> Any:
    return tiny.make_model()


@pytest.fixture
def node(comfy: Path) -> Any:
    return importlib.import_module("lora_kiln.nodes.bake").KilnBakeStrength


@pytest.fixture(scope="module")
def source(comfy: Path, tiny: ModuleType, model: Any) -> Path:
    """A LoRA for both networks in models/loras."""
    tensors = {**tiny.lora_tensors(model, rank=3), **tiny.text_lora_tensors()}
    path: Path = tiny.write_lora(comfy, FILE, tensors)
    return path


def run(node: Any, **inputs: Any) -> Any:
    """Execute a node as ComfyUI does: on a prepared clone, in inference mode."""
    with torch.inference_mode():
        return node.PREPARE_CLASS_CLONE(None).execute(**inputs)


def patched(tiny: ModuleType, model: Any, path: Path, strengths: tuple[float, float]) -> Any:
    """Weights that a file changes, with its patches by the stock loader."""
    from comfy.sd import load_lora_for_models

    with torch.inference_mode():
        both = load_lora_for_models(model, tiny.make_clip(), load_file(path), *strengths)
        return {
            key: patcher.patch_weight_to_device(key, return_weight=True).double()
            for patcher in (both[0], both[1].patcher) for key in patcher.patches
        }


def far(tiny: ModuleType, model: Any, one: Any, two: Any) -> float:
    """The largest relative difference of a change between (file, strengths)."""
    found, wanted = patched(tiny, model, *one), patched(tiny, model, *two)
    plain = patched(tiny, model, two[0], (0.0, 0.0))
    assert found.keys() == wanted.keys() and len(found) > 20
    return max(float((found[key] - value).norm() / (value - plain[key]).norm())
               for key, value in wanted.items())


def test_every_input_and_output_is_explained(node: Any) -> None:
    schema = node.GET_SCHEMA()
    assert (schema.node_id, schema.category) == ("KilnBakeStrength", "LoRA Kiln/sweep")
    assert schema.description and schema.is_output_node
    for socket in (*schema.inputs, *schema.outputs):
        assert socket.tooltip, socket
    assert (ROOT / "web" / "docs" / f"{schema.node_id}.md").is_file()
    assert [output.display_name for output in schema.outputs] == ["lora_name", "report", "lora"]
    assert node.INPUT_TYPES()


def test_strength_one_is_the_chosen_strength(
    comfy: Path, node: Any, tiny: ModuleType, model: Any, source: Path
) -> None:
    inputs = {"lora_name": FILE, "strength": -0.6, "text_share": 0.5, "model": model,
              "clip": tiny.make_clip()}
    out = run(node, **inputs)
    name, report, lora = out.args
    assert Path(name) == Path("kiln/bake_source_at_-0.6_text_0.5.safetensors")
    made = comfy / "models" / "loras" / name
    assert far(tiny, model, (made, (1.0, 1.0)), (source, (-0.6, -0.3))) < 1e-5
    assert "relative difference from the source" in report and "encoders -0.3" in report
    assert out.ui == {"kiln_bake": [{"lora_name": name, "report": report}]}
    assert lora == PublishedLora(
        path=made, loader_name=name, sha256=file_sha256(made), family="sdxl", rank=4
    )
    with safe_open(made, "pt") as file:
        told = file.metadata()
    assert json.loads(told["kiln_baked_from"])["sha256"] == file_sha256(source)
    assert json.loads(told["kiln_bake"]) == {"strength": -0.6, "text_strength": -0.3}


def test_no_file_is_ever_rewritten(
    node: Any, tiny: ModuleType, model: Any, source: Path
) -> None:
    clip = tiny.make_clip()
    lora = PublishedLora(path=source, loader_name=FILE, sha256="", family="sdxl", rank=4)
    names = [
        Path(run(node, lora=lora, name="mine", strength=strength, model=model, clip=clip).args[0])
        for strength in (0.5, 0.5, 0.7, 0.5)
    ]
    first, second = Path("kiln/mine.safetensors"), Path("kiln/mine-v2.safetensors")
    assert names == [first, first, second, first]


def test_the_baked_lora_can_be_swept_and_baked_again(
    node: Any, tiny: ModuleType, model: Any, source: Path
) -> None:
    both = {"model": model, "clip": tiny.make_clip()}
    once = run(node, lora_name=FILE, name="once", strength=2.0, **both).args[2]
    twice = run(node, lora=once, name="twice", strength=0.25, **both).args[2]
    assert far(tiny, model, (twice.path, (1.0, 1.0)), (source, (0.5, 0.5))) < 1e-5


def test_dora_is_baked_with_the_model(
    comfy: Path, node: Any, tiny: ModuleType, model: Any
) -> None:
    tensors = tiny.lora_tensors(model, seed=4)
    for key in [key for key in tensors if key.endswith("lora_down.weight")]:
        down = tensors[key]
        scale = torch.ones(1, down.shape[1], *[1] * (down.ndim - 2))
        tensors[key.replace("lora_down.weight", "dora_scale")] = scale
    path = tiny.write_lora(comfy, "bake_dora.safetensors", tensors)
    _, report, lora = run(
        node, lora_name="bake_dora.safetensors", strength=0.45, model=model
    ).args
    assert far(tiny, model, (lora.path, (1.0, 1.0)), (path, (0.45, 0.45))) < 1e-5
    assert "became differences of this model's weights" in report


def test_what_is_wrong_is_told_before_anything_is_written(
    comfy: Path, node: Any, model: Any, source: Path
) -> None:
    assert node.validate_inputs(name="") is True and node.validate_inputs() is True
    assert isinstance(node.validate_inputs(name="a/b"), str)
    for inputs, words in (
        ({"strength": 0.5}, "Bake Strength has no LoRA"),
        ({"strength": 0.0, "lora_name": FILE}, "does nothing"),
        ({"strength": 0.5, "lora_name": FILE, "name": "../x"}, "name"),
        ({"strength": 0.5, "lora_name": "nothing.safetensors"}, "no LoRA named"),
    ):
        with pytest.raises(KilnError, match=words):
            run(node, **inputs, model=model)


def test_a_changed_file_is_baked_again(comfy: Path, node: Any) -> None:
    path = comfy / "models" / "loras" / "bake_changing.safetensors"
    stamp = node.fingerprint_inputs
    seen = {stamp(lora_name=path.name), stamp(lora_name="(the connected LoRA)"), stamp()}
    for content in (b"a", b"bc"):
        path.write_bytes(content)
        seen.add(stamp(lora_name=path.name, strength=1.0))
        assert stamp(lora_name=path.name) in seen
    path.unlink()
    assert len(seen) == 5
