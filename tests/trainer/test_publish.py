"""What the stock loader gets: Kohya's keys, and never another content under a known name."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from lora_kiln.lora_format.family import families
from lora_kiln.lora_format.ir import LoraFile, lora_layer
from lora_kiln.trainer.config import TrainSettings
from lora_kiln.trainer.law import DiscreteLaw, ddpm_sigmas
from lora_kiln.trainer.objective_settings import ObjectiveSettings
from lora_kiln.trainer.publish import describe, publish_lora
from lora_kiln.trainer.recipe import make_recipe

PATHS = ("middle_block.1.proj_in", "output_blocks.0.1.transformer_blocks.0.attn1.to_out.0")
SETTINGS = TrainSettings(run_name="x", steps=9, rank=2, alpha=1.5, seed=4)


def make(value: float = 1.0, **changes: str) -> LoraFile:
    layers = tuple(
        lora_layer(
            path,
            down=torch.full((2, 4), value),
            up=torch.full((3, 2), value),
            alpha=1.5,
        )
        for path in PATHS
    )
    family = families()["sdxl"]
    law = DiscreteLaw(prediction="v", sigmas=ddpm_sigmas(zero_terminal=True))
    objective = ObjectiveSettings(weighting="min_snr", loss="huber")
    recipe = make_recipe(objective, law, family.training.variants["base"], 2)
    metadata = describe(
        SETTINGS, family, recipe, run_name="x-001", dataset_hash="d", dataset_state="s",
        base_hash="b", pictures=3,
    )
    return LoraFile(family="sdxl", layers=layers, metadata={**metadata, **changes})


def publish(lora: LoraFile, path: Path, precision: str = "fp32", step: int = 9) -> Path:
    return publish_lora(lora, path, precision=precision, step=step)


def test_kohyas_keys_and_dtypes(tmp_path: Path) -> None:
    for precision, dtype in (
        ("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)
    ):
        path = publish(make(), tmp_path / f"{precision}.safetensors", precision)
        tensors = load_file(path)
        name = "lora_unet_output_blocks_0_1_transformer_blocks_0_attn1_to_out_0"
        assert len(tensors) == 6
        assert tensors[f"{name}.lora_down.weight"].shape == (2, 4)
        assert tensors[f"{name}.lora_up.weight"].shape == (3, 2)
        assert tensors[f"{name}.alpha"].item() == 1.5
        assert {tensor.dtype for tensor in tensors.values()} == {dtype}


def test_metadata_that_other_tools_read(tmp_path: Path) -> None:
    path = publish(make(), tmp_path / "a.safetensors", step=7)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert metadata["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    assert metadata["ss_network_dim"] == "2"
    assert metadata["modelspec.prediction_type"] == "v"
    assert metadata["ss_v_parameterization"] == metadata["ss_zero_terminal_snr"] == "True"
    assert metadata["ss_min_snr_gamma"] == "5.0" and metadata["ss_loss_type"] == "huber"
    assert metadata["ss_noise_offset"] == "None"
    assert json.loads(metadata["kiln_recipe"])["density"] == "uniform"
    assert metadata["ss_network_alpha"] == "1.5"
    assert metadata["ss_network_module"] == "networks.lora"
    assert (metadata["ss_steps"], metadata["ss_max_train_steps"]) == ("7", "9")
    assert json.loads(metadata["kiln_settings"])["seed"] == 4
    assert len(metadata["sshs_model_hash"]) == 64


def test_the_same_content_keeps_its_name_and_its_bytes(tmp_path: Path) -> None:
    wanted = tmp_path / "a.safetensors"
    assert publish(make(), wanted) == wanted
    before = (wanted.read_bytes(), wanted.stat().st_mtime_ns)
    assert publish(make(ss_training_comment="another comment"), wanted) == wanted
    assert (wanted.read_bytes(), wanted.stat().st_mtime_ns) == before
    assert len(list(tmp_path.iterdir())) == 1


def test_changed_content_gets_another_name(tmp_path: Path) -> None:
    wanted = tmp_path / "a.safetensors"
    publish(make(1.0), wanted)
    before = wanted.read_bytes()
    second = publish(make(2.0), wanted)
    third = publish(make(3.0), wanted)
    assert (second.name, third.name) == ("a-v2.safetensors", "a-v3.safetensors")
    assert wanted.read_bytes() == before
    assert publish(make(2.0), wanted) == second
    assert load_file(second)["lora_unet_middle_block_1_proj_in.lora_up.weight"][0, 0] == 2.0


def test_a_damaged_file_of_that_name_is_not_touched(tmp_path: Path) -> None:
    wanted = tmp_path / "a.safetensors"
    wanted.write_bytes(b"not safetensors")
    assert publish(make(), wanted).name == "a-v2.safetensors"
    assert wanted.read_bytes() == b"not safetensors"
