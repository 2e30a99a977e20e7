"""Merge, resize and extract as nodes, on a small model inside of ComfyUI."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tiny(comfy: Path) -> ModuleType:
    from lora_kiln.tests.host import tiny_sdxl

    return tiny_sdxl


@pytest.fixture(scope="module")
def model(tiny: ModuleType) -> Any:
    return tiny.make_model()


@pytest.fixture
def nodes(comfy: Path) -> ModuleType:
    return importlib.import_module("lora_kiln.nodes.edit_files")


@pytest.fixture(scope="module")
def files(comfy: Path, tiny: ModuleType, model: Any) -> list[str]:
    """Two LoRAs in models/loras."""
    for seed, name in enumerate(("edit_one.safetensors", "edit_two.safetensors")):
        tiny.write_lora(comfy, name, tiny.lora_tensors(model, seed=seed, rank=3 + seed))
    return ["edit_one.safetensors", "edit_two.safetensors"]


def run(node: Any, **inputs: Any) -> tuple[Any, ...]:
    """Execute a node as ComfyUI does: on a prepared clone, in inference mode."""
    with torch.inference_mode():
        return tuple(node.PREPARE_CLASS_CLONE(None).execute(**inputs).args)


def patched(model: Any, tensors: dict[str, torch.Tensor], strength: float = 1.0) -> Any:
    """The model with a LoRA on it, by the stock loader."""
    from comfy.sd import load_lora_for_models

    with torch.inference_mode():
        return load_lora_for_models(model, None, tensors, strength, 0)[0]


def weight_of(model: Any, path: str) -> torch.Tensor:
    """A weight with its patches, as the stock code makes it."""
    key = f"diffusion_model.{path}.weight"
    with torch.inference_mode():
        return model.patch_weight_to_device(key, return_weight=True).to(torch.float64)


def published(comfy: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(comfy / "models" / "loras" / name)


def paths_of(model: Any) -> list[str]:
    return [path for path, module in model.model.diffusion_model.named_modules()
            if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d))]


def worst_error(found: Any, wanted: Any, plain: Any) -> float:
    """The largest relative error of a change over all layers."""
    errors = []
    for path in paths_of(plain):
        before, one, two = (weight_of(each, path) for each in (plain, found, wanted))
        errors.append(float((one - two).norm() / (two - before).norm()))
    assert len(errors) > 20
    return max(errors)


def test_every_input_and_output_is_explained(nodes: ModuleType) -> None:
    for node in nodes.NODES:
        schema = node.GET_SCHEMA()
        assert schema.node_id == node.__name__
        assert schema.description and schema.is_output_node
        for socket in (*schema.inputs, *schema.outputs):
            assert socket.tooltip, f"{schema.node_id}: {socket}"
        assert (ROOT / "web" / "docs" / f"{schema.node_id}.md").is_file()
        assert node.INPUT_TYPES()


def test_merge_does_what_two_loaders_do(
    comfy: Path, nodes: ModuleType, tiny: ModuleType, model: Any, files: list[str]
) -> None:
    name, report = run(
        nodes.KilnMergeLoras, name="both", lora_1=files[0], weight_1=0.5, lora_2=files[1],
        weight_2=-1.5, lora_3="none", weight_3=1.0, lora_4="none", weight_4=1.0, model=model,
        dtype="fp32",
    )
    assert Path(name) == Path("kiln/both.safetensors")
    assert "largest relative difference from the sum" in report
    stacked = model
    for file, strength in zip(files, (0.5, -1.5), strict=True):
        stacked = patched(stacked, published(comfy, file), strength)
    merged = patched(model, published(comfy, name))
    assert worst_error(merged, stacked, model) < 1e-5


def test_resize_publishes_a_smaller_file(
    comfy: Path, nodes: ModuleType, model: Any, files: list[str]
) -> None:
    name, report = run(
        nodes.KilnResizeLora, lora_name=files[1], rank=2, energy=1.0, blocks="proj_in=1",
        model=model,
    )
    assert Path(name) == Path("kiln/edit_two_rank2.safetensors")
    assert "% of the change kept" in report
    ranks = {tensor.shape[0] for key, tensor in published(comfy, name).items() if "down" in key}
    assert ranks == {1, 2}
    with safe_open(comfy / "models" / "loras" / name, "pt") as file:
        assert file.metadata()["ss_network_dim"] == "2"


def test_extract_takes_what_is_patched_on(
    comfy: Path, nodes: ModuleType, tiny: ModuleType, model: Any
) -> None:
    tuned = patched(model, tiny.lora_tensors(model, rank=4, size=0.3, seed=7))
    name, report = run(
        nodes.KilnExtractLora, model_tuned=tuned, model_original=model, name="out", rank=4,
        dtype="fp32",
    )
    assert Path(name) == Path("kiln/out.safetensors")
    assert "100.00 % of the difference kept" in report
    assert worst_error(patched(model, published(comfy, name)), tuned, model) < 1e-5
    again, _ = run(
        nodes.KilnExtractLora, model_tuned=tuned, model_original=model, name="out", rank=4,
        dtype="fp32",
    )
    assert again == name
    with pytest.raises(ValueError, match="do not differ"):
        run(nodes.KilnExtractLora, model_tuned=model, model_original=model, name="out", rank=4)


def test_text_encoders_are_compared_where_both_are_there(
    comfy: Path, nodes: ModuleType, tiny: ModuleType, model: Any
) -> None:
    from comfy.sd import load_lora_for_models

    clip = tiny.make_clip()
    with torch.inference_mode():
        _, tuned = load_lora_for_models(None, clip, tiny.text_lora_tensors(), 0, 1.0)
    name, _ = run(
        nodes.KilnExtractLora, model_tuned=model, model_original=model, clip_tuned=tuned,
        clip_original=clip, name="text", rank=4,
    )
    keys = {key.partition(".")[0] for key in published(comfy, name)}
    assert keys == {"lora_te1_text_model_encoder_layers_1_mlp_fc1"}


def test_weights_come_as_they_are(tiny: ModuleType) -> None:
    """Every tensor has a method dequantize; on MPS it fails, elsewhere it makes fp32 of it."""
    from lora_kiln.host.base import connected_base
    from lora_kiln.lora_format.ir import Target

    half = tiny.make_model(dtype=torch.float16)
    path = next(path for path in paths_of(half) if path.endswith("to_q"))
    weight = connected_base(half).weight(Target("unet", path))
    assert weight.dtype == torch.float16
    module = half.model.diffusion_model.get_submodule(path)
    assert torch.equal(weight, module.weight)


def test_scales_of_quantised_weights_are_no_parameters_of_their_own(tiny: ModuleType) -> None:
    from lora_kiln.host.compare import ConnectedModels

    tuned, original = tiny.make_model(), tiny.make_model()
    for name in ("scale_weight", "loose"):
        parameter = torch.nn.Parameter(torch.ones(1))
        tuned.model.diffusion_model.out[2].register_parameter(name, parameter)
    pairs = ConnectedModels.of((tuned, None), (original, None))
    assert pairs.uncomparable() == ["out.2.loose is only in one of the models"]


def test_a_changed_file_is_merged_again(
    comfy: Path, nodes: ModuleType, tiny: ModuleType, model: Any, files: list[str]
) -> None:
    def stamp() -> str:
        return nodes.KilnMergeLoras.fingerprint_inputs(
            lora_1=files[0], lora_2=files[1], lora_3="none", name="x"
        )

    before = stamp()
    assert stamp() == before
    tiny.write_lora(comfy, files[0], tiny.lora_tensors(model, rank=2))
    assert stamp() != before
    assert nodes.KilnMergeLoras.fingerprint_inputs() == "|".join(["linked"] * 4)


@pytest.mark.parametrize("name", ["../x", "", "a/b", "con"])
def test_names_are_plain(nodes: ModuleType, name: str) -> None:
    for node in (nodes.KilnMergeLoras, nodes.KilnExtractLora):
        assert isinstance(node.validate_inputs(name=name), str)
        assert node.validate_inputs(name="my_style") is True
        assert node.validate_inputs() is True
