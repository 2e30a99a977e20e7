"""Names and files against the stock loader itself, on models of the published sizes."""

from __future__ import annotations

import json
import logging
import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lora_kiln.core.errors import LoraFormatError
from lora_kiln.lora_format.convert import ConvertSettings, convert
from lora_kiln.lora_format.family import families, table_of
from lora_kiln.lora_format.format import formats
from lora_kiln.lora_format.ir import NETWORK, Layer, Target
from lora_kiln.lora_format.read import read
from lora_kiln.lora_format.stock_names import stock_names, unread_keys
from lora_kiln.tests.lora_format.key_tables import KEY_TABLES, KeyTable, refused

FAMILIES = sorted(families())
# What the loader reads and no file for that model has, so that we do not list it.
LEFT_OUT = {
    "sdxl": r"(lora_unet_|lycoris_|unet\.|)class_embedding.linear_\d",
    # Names of diffusers' Flux.2; USO's names, which exist only inside of the loader; and diffusers'
    # last modulation, whose halves are swapped.
    "flux1": r".*ff(_context)?[._]linear_(in|out)|.*[._]to_qkv_mlp_proj"
    r"|.*single_transformer_blocks.\d+.attn.to_out|.*linear1_qkv|.*norm_out.linear",
    # Z-Image's names, which Lumina 2 does not have in diffusers; its q, k and v are no thirds.
    "lumina2": r"(?!lora_unet_|diffusion_model\.).*|.*\.(to_|norm_[qk]|all_).*|.*\.all_.*",
}


@cache
def models() -> ModuleType:
    """The helpers, which need ComfyUI."""
    from lora_kiln.tests.lora_format import comfy_models

    return comfy_models


@cache
def network(family: str) -> Any:
    """The real network of a family."""
    return models().make_model(family)


@cache
def encoders(family: str) -> Any:
    """The real text encoders of a family."""
    return models().make_clip(family)


def shapes_of(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {
        key.removesuffix(".weight"): tuple(tensor.shape)
        for key, tensor in model.state_dict().items()
        if key.endswith(".weight")
    }


@pytest.mark.usefixtures("comfy")
@pytest.mark.parametrize("family", FAMILIES)
def test_the_table_has_the_real_shapes(family: str) -> None:
    real = shapes_of(network(family).diffusion_model)
    assert dict(table_of(family)[NETWORK].shapes) == real
    real = shapes_of(encoders(family))
    for component in families()[family].text_encoders:
        for path, shape in table_of(family)[component].shapes.items():
            assert real[f"{component}.transformer.{path}"] == shape


def as_loaded(target: Target) -> Any:
    """A target as the loader's map has it."""
    prefix = "diffusion_model" if target.component == NETWORK else f"{target.component}.transformer"
    key = f"{prefix}.{target.module_path}.weight"
    if target.rows is None:
        return key
    return key, (0, target.rows[0], target.rows[1] - target.rows[0])


@pytest.mark.usefixtures("comfy")
@pytest.mark.parametrize("family", FAMILIES)
def test_the_names_of_networks_are_the_loaders(family: str) -> None:
    there = {f"diffusion_model.{path}.weight" for path in table_of(family)[NETWORK].shapes}
    left_out = re.compile(LEFT_OUT.get(family, "(?!)"))
    real = {
        name: place
        for name, place in models().names_read([network(family)]).items()
        if (place if isinstance(place, str) else place[0]) in there
        and not left_out.fullmatch(name)
    }
    ours = stock_names(families()[family], table_of(family))
    ours = {name: target for name, target in ours.items() if target.component == NETWORK}
    assert {name: as_loaded(target) for name, target in ours.items()} == real


@pytest.mark.usefixtures("comfy")
@pytest.mark.parametrize("family", FAMILIES)
def test_the_names_of_text_encoders_are_the_loaders(family: str) -> None:
    """Of the modules in our table: norms and embeddings of language models are not in it."""
    ours = {
        name: as_loaded(target)
        for name, target in stock_names(families()[family], table_of(family)).items()
        if target.component != NETWORK
    }
    real = models().names_read([encoders(family)])
    listed = set(ours.values())
    assert ours == {
        name: place
        for name, place in real.items()
        if place in listed and not name.startswith("lora_prior_te_")  # Stable Cascade's
    }


# Files


@pytest.fixture(params=list(KEY_TABLES.values()), ids=list(KEY_TABLES))
def key_table(request: pytest.FixtureRequest) -> KeyTable:
    """Every file in turn."""
    found: KeyTable = request.param
    return found


def write(folder: Path, key_table: KeyTable) -> Path:
    path = folder / "lora.safetensors"
    tensors = key_table.make()
    assert set(key_table.sample) <= set(tensors)
    save_file(tensors, path)
    if key_table.config is not None:
        (folder / "adapter_config.json").write_text(json.dumps(key_table.config))
    return path


@cache
def names_read(family: str) -> dict[str, Any]:
    """The loader's own map for a family."""
    found: dict[str, Any] = models().names_read([network(family), encoders(family)])
    return found


@cache
def real_state(family: str) -> dict[str, torch.Tensor]:
    """All weights on the meta device, in single precision."""
    state = {**network(family).state_dict(), **encoders(family).state_dict()}
    return {key: tensor.float() for key, tensor in state.items()}


@pytest.mark.usefixtures("comfy")
def test_files_of_every_tool_load_whole_after_conversion(
    key_table: KeyTable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    family = key_table.family
    reading = read(write(tmp_path, key_table))
    assert reading.lora.family == family
    assert reading.errors == []
    conversion = convert(reading, ConvertSettings())
    tensors = conversion.written.tensors
    with caplog.at_level(logging.WARNING):
        patches = models().load(tensors, names_read(family))
        state = real_state(family)
        models().apply(models().one_of_each(patches, state), state, torch.float32)
    assert [record.getMessage() for record in caplog.records] == []
    assert unread_keys(tensors, stock_names(families()[family], table_of(family))) == []
    changed = {place if isinstance(place, str) else place[0] for place in patches}
    assert changed == {key_changed(layer) for layer in reading.lora.layers}


def key_changed(layer: Layer) -> str:
    place = as_loaded(layer.target)
    key: str = place if isinstance(place, str) else place[0]
    return key.removesuffix("weight") + "bias" if layer.algorithm == "bias" else key


def test_every_detector_on_every_file(key_table: KeyTable) -> None:
    keys = key_table.make()
    assert {name for name, item in formats().items() if item.recognises(keys)} == set(
        key_table.formats
    )


@pytest.mark.parametrize("name", refused())
def test_files_that_cannot_be_converted_are_refused(name: str, tmp_path: Path) -> None:
    tensors, text = refused()[name]
    path = tmp_path / "lora.safetensors"
    save_file(tensors, path)
    with pytest.raises(LoraFormatError, match=text):
        convert(read(path), ConvertSettings())


def test_every_format_has_a_file() -> None:
    assert {name for item in KEY_TABLES.values() for name in item.formats} == set(formats())
