"""Keys of a Kohya file, and which model belongs to which family."""

from __future__ import annotations

import re

import pytest
import torch

from lora_kiln.core.errors import HostError, LoraFormatError
from lora_kiln.lora_format.family import families, family_of_class
from lora_kiln.lora_format.formats import kohya
from lora_kiln.lora_format.ir import LoraFile, LoraLayer


def layer(path: str, component: str = "unet", rank: int = 2) -> LoraLayer:
    down, up = torch.ones(rank, 3, dtype=torch.float32), torch.ones(4, rank).T.contiguous().T
    return LoraLayer(module_path=path, component=component, down=down, up=up, alpha=3.0)


def file(*layers: LoraLayer) -> LoraFile:
    return LoraFile(family="sdxl", layers=layers)


def test_keys_as_sd_scripts_writes_them() -> None:
    tensors = kohya.to_tensors(file(layer("input_blocks.4.1.proj_in")), torch.bfloat16)
    name = "lora_unet_input_blocks_4_1_proj_in"
    assert list(tensors) == [f"{name}.lora_down.weight", f"{name}.lora_up.weight", f"{name}.alpha"]
    assert all(tensor.is_contiguous() for tensor in tensors.values())
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert tensors[f"{name}.alpha"].shape == ()
    assert layer("x").scale == 1.5


def test_two_modules_never_share_a_key() -> None:
    with pytest.raises(LoraFormatError, match="share the key lora_unet_a_b_c"):
        kohya.to_tensors(file(layer("a.b_c"), layer("a_b.c")), torch.float32)


def test_text_encoder_layers_are_refused() -> None:
    with pytest.raises(LoraFormatError, match=r"mlp belongs to 'clip_l'"):
        kohya.to_tensors(file(layer("mlp", "clip_l")), torch.float32)


def test_the_family_of_a_model_is_found_by_its_class() -> None:
    assert family_of_class(["SDXL", "BaseModel", "object"]).name == "sdxl"
    assert family_of_class(["MySDXL", "SDXL", "BaseModel"]).name == "sdxl"
    with pytest.raises(HostError, match=r"a 'Flux'.*can train: SDXL.*Connect a checkpoint"):
        family_of_class(["Flux", "BaseModel", "object"])


@pytest.mark.parametrize(
    ("path", "trained"),
    [
        ("input_blocks.4.1.transformer_blocks.0.attn1.to_q", True),
        ("input_blocks.4.1.transformer_blocks.9.attn2.to_out.0", True),
        ("middle_block.1.transformer_blocks.3.ff.net.0.proj", True),
        ("middle_block.1.transformer_blocks.3.ff.net.2", True),
        ("output_blocks.0.1.proj_in", True),
        ("output_blocks.0.1.proj_out", True),
        ("output_blocks.0.1.transformer_blocks.0.norm1", False),
        ("output_blocks.0.1.transformer_blocks.0.attn2.to_out", False),
        ("output_blocks.0.1.transformer_blocks.0.attn2.to_q.bias", False),
        ("input_blocks.1.0.in_layers.2", False),
        ("time_embed.0", False),
        ("label_emb.0.0", False),
        ("out.2", False),
    ],
)
def test_what_an_sdxl_lora_trains(path: str, trained: bool) -> None:
    assert families()["sdxl"].is_target(path) is trained


def test_families_are_data() -> None:
    for family in families().values():
        re.compile(family.targets)
        assert family.bucket_step_px % 8 == 0
        assert family.key_prefix.endswith("_")
