"""Keys of a Kohya file, and which model belongs to which family."""

from __future__ import annotations

import re

import pytest
import torch

from lora_kiln.core.errors import LoraFormatError
from lora_kiln.lora_format.family import families
from lora_kiln.lora_format.ir import Layer, LoraFile, lora_layer
from lora_kiln.lora_format.stock import write_stock
from lora_kiln.lora_format.table import ModuleTable


def layer(path: str, component: str = "unet", rank: int = 2) -> Layer:
    down, up = torch.ones(rank, 3, dtype=torch.float32), torch.ones(4, rank).T.contiguous().T
    return lora_layer(path, component=component, down=down, up=up, alpha=3.0)


def file(*layers: Layer) -> LoraFile:
    return LoraFile(family="sdxl", layers=layers)


def keys_of(*layers: Layer) -> dict[str, torch.Tensor]:
    return write_stock(file(*layers), ModuleTable({})).tensors


def test_keys_as_sd_scripts_writes_them() -> None:
    tensors = keys_of(layer("input_blocks.4.1.proj_in"))
    name = "lora_unet_input_blocks_4_1_proj_in"
    assert list(tensors) == [f"{name}.lora_down.weight", f"{name}.lora_up.weight", f"{name}.alpha"]
    assert all(tensor.is_contiguous() for tensor in tensors.values())
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert tensors[f"{name}.alpha"].shape == ()


def test_two_modules_never_share_a_key() -> None:
    with pytest.raises(LoraFormatError, match="share the key lora_unet_a_b_c"):
        keys_of(layer("a.b_c"), layer("a_b.c"))


def test_text_encoders_have_prefixes_of_their_own() -> None:
    keys = keys_of(layer("mlp", "clip_l"), layer("mlp", "clip_g"))
    names = {key.partition(".")[0] for key in keys}
    assert names == {"lora_te1_mlp", "lora_te2_mlp"}
    with pytest.raises(LoraFormatError, match="t5xxl: mlp has no name"):
        keys_of(layer("mlp", "t5xxl"))


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
        training = family.training
        assert training.preset in training.presets
        assert training.bucket_step_px % 8 == 0 and "base" in training.variants
        assert training.advice.keys() == {"style", "character", "concept"}
        assert all(advice.targets in training.presets for advice in training.advice.values())
        for pattern in (*training.presets.values(), *(p for p, _ in training.blocks)):
            re.compile(pattern)
        assert set(family.key_prefixes) == {"unet", *family.text_encoders}
        assert all(prefix[-1] in "._" for prefix in family.key_prefixes.values())
