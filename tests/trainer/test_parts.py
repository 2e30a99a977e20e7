"""Which modules are trained on networks of the real sizes, and with what."""

from __future__ import annotations

from collections import Counter
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from lora_kiln.core.errors import ConfigError, HostError
from lora_kiln.lora_format.family import Family, families, table_of
from lora_kiln.trainer.adapter import ADAPTER_NAME, LoraAdapter
from lora_kiln.trainer.adapter_settings import AdapterSettings
from lora_kiln.trainer.config import TrainSettings
from lora_kiln.trainer.parts import Part, choose_parts
from lora_kiln.trainer.schedule import make_optimizer

COUNTS = {
    "sdxl": {"attention": 560, "attention_ff": 700, "linear": 722, "conv": 788},
    "z_image": {"attention": 60, "attention_ff": 150, "linear": 180, "refiners": 170, "all": 202},
}
"""70 transformer blocks of 8 + 2 layers in 11 places; 30 layers of 2 + 3 + 1, and 4 refiners."""


def network(name: str) -> dict[str, nn.Module]:
    """Modules of the published sizes without memory; shortcuts without a layer are Identities."""
    modules: dict[str, nn.Module] = {"": nn.Module()}
    for path, shape in table_of(name)["unet"].shapes.items():
        if len(shape) == 1:
            modules[path] = nn.LayerNorm(shape, device="meta")
        elif len(shape) == 2:
            modules[path] = nn.Linear(shape[1], shape[0], bias=False, device="meta")
        else:
            size = (shape[2], shape[3])
            modules[path] = nn.Conv2d(
                shape[1], shape[0], size, padding=size[0] // 2, device="meta"
            )
        if path.endswith("out_layers.3"):
            shortcut = path.replace("out_layers.3", "skip_connection")
            modules.setdefault(shortcut, nn.Identity())
    return modules


@pytest.fixture(scope="module")
def networks() -> dict[str, dict[str, nn.Module]]:
    return {name: network(name) for name in COUNTS}


def choose(
    networks: dict[str, dict[str, nn.Module]], name: str, rank: int = 16, alpha: float = 8.0,
    **settings: Any,
) -> dict[str, Part]:
    return choose_parts(
        networks[name], families()[name], AdapterSettings(**settings), rank=rank, alpha=alpha
    )


def by_block(family: Family, parts: dict[str, Part]) -> Counter[str]:
    return Counter(family.training.block_of(path) for path in parts)


@pytest.mark.parametrize(
    ("name", "preset"), [(name, preset) for name, all_of in COUNTS.items() for preset in all_of]
)
def test_presets_on_the_published_networks(networks: Any, name: str, preset: str) -> None:
    parts = choose(networks, name, targets=preset)
    assert len(parts) == COUNTS[name][preset]
    assert all(isinstance(part.module, (nn.Linear, nn.Conv2d)) for part in parts.values())
    assert {(part.rank, part.alpha, part.rate) for part in parts.values()} == {(16, 8.0, 1.0)}
    assert "other" not in by_block(families()[name], parts)


@pytest.mark.parametrize("name", COUNTS)
def test_every_preset_has_its_count_here(name: str) -> None:
    assert set(COUNTS[name]) == set(families()[name].training.presets)


@pytest.mark.parametrize(
    ("name", "purpose", "preset"),
    [
        ("sdxl", "any", "linear"), ("sdxl", "style", "conv"), ("sdxl", "character", "linear"),
        ("z_image", "any", "attention_ff"), ("z_image", "character", "attention_ff"),
        ("z_image", "concept", "linear"),
    ],
)
def test_what_auto_comes_to(networks: Any, name: str, purpose: str, preset: str) -> None:
    assert len(choose(networks, name, purpose=purpose)) == COUNTS[name][preset]
    assert len(choose(networks, name, purpose=purpose, targets="attention")) == (
        COUNTS[name]["attention"]
    )


def test_blocks_of_sdxl_and_z_image(networks: Any) -> None:
    found = by_block(families()["sdxl"], choose(networks, "sdxl"))
    wanted = {
        **{f"in{n}": 22 for n in (4, 5)}, **{f"in{n}": 102 for n in (7, 8)}, "mid": 102,
        **{f"out{n}": 102 for n in range(3)}, **{f"out{n}": 22 for n in range(3, 6)},
    }
    assert found == wanted
    found = by_block(families()["z_image"], choose(networks, "z_image", targets="all"))
    assert found == {
        **{f"layer{n}": 6 for n in range(30)}, "noise_refiner0": 6, "noise_refiner1": 6,
        "context_refiner0": 5, "context_refiner1": 5,
    }


def test_a_block_of_another_family_is_refused_with_the_known_ones(networks: Any) -> None:
    with pytest.raises(ConfigError, match=r"speaks of layer0\. Expected.*in4.*mid.*out5"):
        choose(networks, "sdxl", block_weights="layer0: off")
    with pytest.raises(ConfigError, match=r"speaks of noise_refiner0\. .*layer0.*layer29"):
        choose(networks, "z_image", block_weights="noise_refiner0: off")
    choose(networks, "z_image", targets="refiners", block_weights="noise_refiner0: off")


def values_of(networks: Any, rules: str) -> dict[str, tuple[int, float, float]]:
    """Rank, alpha and rate of every block of SDXL that is trained."""
    parts = choose(networks, "sdxl", block_weights=rules)
    block_of = families()["sdxl"].training.block_of
    return {block_of(path): (part.rank, part.alpha, part.rate) for path, part in parts.items()}


def test_rules(networks: Any) -> None:
    """Alpha follows the rank unless it is named; later rules win; the rest stays as it was."""
    found = values_of(networks, "in: off\nmid: rank=32 lr=0.5\nout0: rank=4 alpha=4\nout1: alpha=2")
    assert found == {
        "mid": (32, 16.0, 0.5), "out0": (4, 4.0, 1.0), "out1": (16, 2.0, 1.0),
        **{f"out{n}": (16, 8.0, 1.0) for n in range(2, 6)},
    }


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ("mid: alpha=2\n*: lr=0.5", (16, 2.0, 0.5)),
        ("mid: lr=0.5\n*: rank=4", (4, 2.0, 0.5)),
        ("mid: alpha=2\n*: rank=4", (4, 2.0, 1.0)),
        ("mid: rank=4 alpha=1\nmid: rank=8", (8, 4.0, 1.0)),
        ("*: off\nmid: rank=8", (8, 4.0, 1.0)),
        ("mid: rank=8\nmid: lr=3\nmid: lr=0.1", (8, 4.0, 0.1)),
    ],
)
def test_a_later_rule_changes_only_what_it_names(
    networks: Any, rules: str, wanted: tuple[int, float, float]
) -> None:
    assert values_of(networks, rules)["mid"] == wanted


def test_include_and_exclude(networks: Any) -> None:
    cross = choose(networks, "sdxl", include="attn2\\.\n\n")
    assert len(cross) == 280 and all(".attn2." in path for path in cross)
    some = choose(networks, "sdxl", include="attn2", exclude="to_out\n^middle")
    assert len(some) == 3 * 60
    for name, text in (("include", "nothing"), ("exclude", "."), ("block_weights", "*: off")):
        settings: dict[str, Any] = {name: text}
        with pytest.raises(ConfigError, match="leave none of 722 modules"):
            choose(networks, "sdxl", **settings)


def test_a_preset_of_another_family_is_refused(networks: Any) -> None:
    with pytest.raises(ConfigError, match=r"targets is 'refiners'.*attention_ff, linear, conv"):
        choose(networks, "sdxl", targets="refiners")
    with pytest.raises(HostError, match="None of the model's modules"):
        choose_parts(
            networks["z_image"], families()["sdxl"], AdapterSettings(), rank=4, alpha=4
        )


def test_a_layer_that_cannot_be_differentiated_is_refused(networks: Any) -> None:
    path = "middle_block.1.transformer_blocks.0.attn1.to_q"
    odd = {**networks["sdxl"], path: nn.Bilinear(1, 1, 1)}
    with pytest.raises(HostError, match=f"{path} is a Bilinear.*another precision"):
        choose_parts(odd, families()["sdxl"], AdapterSettings(), rank=4, alpha=4)


def test_rank_alpha_and_rate_arrive_in_peft_and_in_the_optimizer(
    networks: Any, second: ModuleType
) -> None:
    rules = "in: off\nmid: rank=8 lr=0.5\nout0: rank=2 alpha=6\nout1-out5: lr=0.5"
    parts = {
        path: part
        for path, part in choose(networks, "sdxl", 4, 4.0, block_weights=rules,
                                 targets="conv").items()
        if ".0.attn1." in path or "out_layers" in path
    }
    adapter = LoraAdapter(parts, second.PlainWeights(), seed=1, device=torch.device("cpu"))
    block_of = families()["sdxl"].training.block_of
    wanted = {"mid": (8, 8.0), "out0": (2, 6.0)}
    for path, layer in adapter.layers.items():
        rank, alpha = wanted.get(block_of(path), (4, 4.0))
        assert (layer.r[ADAPTER_NAME], layer.lora_alpha[ADAPTER_NAME]) == (rank, alpha), path
        assert layer.scaling[ADAPTER_NAME] == alpha / rank
        assert layer.lora_A[ADAPTER_NAME].weight.shape[0] == rank
        assert layer.lora_B[ADAPTER_NAME].weight.shape[1] == rank
    assert adapter.largest_rank == 8
    saved = {
        layer.target.module_path: layer
        for layer in adapter.to_lora(families()["sdxl"], {}).layers
    }
    assert {path: layer.alpha for path, layer in saved.items()} == {
        path: part.alpha for path, part in parts.items()
    }

    settings = TrainSettings(
        run_name="a", steps=1, learning_rate=1e-3, rank=4, resolution=512, seed=1
    )
    groups = make_optimizer(adapter.groups(), settings).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert len(groups) == 2 and len(rates) == 2 * len(parts)
    for name, parameter in adapter.named_parameters():
        block = block_of(name)
        slower = block == "mid" or block in {f"out{n}" for n in range(1, 6)}
        assert rates[id(parameter)] == pytest.approx(5e-4 if slower else 1e-3), name
