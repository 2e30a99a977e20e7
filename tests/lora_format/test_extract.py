"""LoRAs of differences: what was put in comes out, and what is kept is told truly."""

from __future__ import annotations

import json
import weakref
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lora_kiln.core.errors import LoraFormatError
from lora_kiln.lora_format.base import read_base
from lora_kiln.lora_format.compare import BIAS, Checkpoints, Compared
from lora_kiln.lora_format.extract import (
    Extraction,
    ExtractSettings,
    extract,
    extracted_lora,
)
from lora_kiln.lora_format.ir import Layer, Target
from lora_kiln.lora_format.read import Base
from lora_kiln.tests.lora_format.small_loras import (
    CONV,
    FEED,
    NORM,
    QKV,
    QUERY,
    SDXL,
    Z_IMAGE,
    Maker,
    Tensors,
    changes_of,
    largest_error,
    model_of,
    saved_changes,
)

EXACTLY = ExtractSettings(rank=8, dtype="fp32", differences=True)


def changed(tensors: Tensors, layers: list[Layer], base: Base) -> Tensors:
    """The same with a LoRA added."""
    found = dict(tensors)
    for (_, path, kind), change in changes_of(layers, base.table).items():
        key = f"{path}.{kind}"
        found[key] = found[key] + change.reshape(found[key].shape).to(found[key].dtype)
    return found


def checkpoint(path: Path, tensors: Tensors, prefix: str = "model.diffusion_model.") -> Path:
    save_file({prefix + name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def compared(tmp_path: Path, tuned: Tensors, original: Tensors) -> Checkpoints:
    return Checkpoints(
        tuned=read_base(checkpoint(tmp_path / "tuned.safetensors", tuned)),
        original=read_base(checkpoint(tmp_path / "original.safetensors", original)),
    )


def by_module(found: Extraction) -> dict[str, float]:
    return {module.module: module.kept for module in found.modules}


@pytest.mark.parametrize("family", ["sdxl", "z_image"])
def test_what_was_merged_in_comes_out(tmp_path: Path, family: str) -> None:
    base = {"sdxl": SDXL, "z_image": Z_IMAGE}[family]
    make, original = Maker(base, 1), model_of(base)
    if family == "sdxl":
        layers = [make.lora(QUERY, 4), make.lora(CONV, 3), make.lora(FEED, 8), make.norm(NORM)]
    else:
        layers = [make.lora(QKV, 3, rows=(0, 24)), make.lora("layers.0.feed_forward.w1", 5)]
    pairs = compared(tmp_path, changed(original, layers, base), original)
    found = extract(pairs, EXACTLY)
    conversion = extracted_lora(found, pairs.original.base, EXACTLY, {}, title="it")
    wanted = changes_of(layers, base.table)
    found_changes = saved_changes(tmp_path / "it.safetensors", base, conversion)
    assert largest_error(found_changes, wanted) < 1e-5
    assert found.kept == pytest.approx(1, abs=1e-9)
    assert len(found.layers) == len(wanted)
    assert found.equal == len(original) - len(wanted)
    assert not found.left_out
    assert not pairs.uncomparable()


def test_ranks_are_those_of_the_difference(tmp_path: Path) -> None:
    """Without fp32's rounding of the sum: a difference of rank 3 gives rank 3, not 8."""
    make = Maker(SDXL, 1)
    change = changes_of([make.lora(QUERY, 3)], SDXL.table)["unet", QUERY, "weight"]
    pair = Compared(Target("unet", QUERY), change, torch.zeros_like(change))
    (layer,) = extract([pair], EXACTLY).layers
    assert layer.factors["lora_down"].shape[0] == 3
    assert layer.alpha == 3


@pytest.mark.parametrize(("path", "rank", "energy"), [(QUERY, 4, 1.0), (CONV, 32, 0.8)])
def test_the_proof_is_true(path: str, rank: int, energy: float) -> None:
    original, tuned = model_of(SDXL, 1)[f"{path}.weight"], model_of(SDXL, 2)[f"{path}.weight"]
    settings = ExtractSettings(rank=rank, energy=energy, dtype="fp32")
    found = extract([Compared(Target("unet", path), tuned, original)], settings)
    (module,) = found.modules
    whole = (tuned.double() - original.double()).flatten(1)
    values = torch.linalg.svdvals(whole).square()
    assert module.rank is not None
    assert module.kept == pytest.approx(float(values[:module.rank].sum() / values.sum()), abs=1e-6)
    assert module.relative == pytest.approx(float(whole.norm() / original.double().norm()))
    if energy < 1:
        assert float(values[:module.rank - 1].sum() / values.sum()) < energy <= module.kept + 1e-9
    half = extract(
        [Compared(Target("unet", path), tuned, original)],
        ExtractSettings(rank=rank, energy=energy, dtype="bf16"),
    )
    change = changes_of(half.layers, SDXL.table)["unet", path, "weight"]
    error = float((change - whole).norm() / whole.norm())
    assert half.modules[0].kept == pytest.approx(1 - error**2, abs=1e-9)


def test_large_layers_by_a_random_subspace() -> None:
    shape = (700, 800)
    chance = torch.Generator().manual_seed(0)
    original = torch.randn(shape, generator=chance)
    up, down = torch.randn(700, 6, generator=chance), torch.randn(6, 800, generator=chance)
    pair = Compared(Target("unet", "x"), original + up @ down, original)
    settings = ExtractSettings(rank=8, dtype="fp32", seed=3)
    one, two = extract([pair], settings), extract([pair], settings)
    assert one.modules[0].kept > 1 - 1e-8
    assert torch.equal(one.layers[0].factors["lora_up"], two.layers[0].factors["lora_up"])


def test_devices_without_decompositions_are_spared() -> None:
    """MPS has no float64: there, and on the meta device of this test, it is the CPU's work."""
    weight = model_of(SDXL)[f"{QUERY}.weight"]
    pair = Compared(Target("unet", QUERY), 2 * weight, weight)
    found = extract([pair], ExtractSettings(energy=0.5), device=torch.device("meta"))
    assert found.modules[0].kept >= 0.5


def test_thresholds() -> None:
    weight = model_of(SDXL)[f"{QUERY}.weight"]
    pair = Compared(Target("unet", QUERY), weight * 1.001, weight)
    assert extract([pair], ExtractSettings(threshold=0.002)).equal == 1
    assert len(extract([pair], ExtractSettings(threshold=0.0005)).layers) == 1
    assert extract([Compared(Target("unet", QUERY), weight, weight)],
                   ExtractSettings(threshold=0)).equal == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rounding_alone_is_no_difference(dtype: torch.dtype) -> None:
    weight = model_of(SDXL)[f"{QUERY}.weight"]
    pair = Compared(Target("unet", QUERY), weight.to(dtype), weight)
    assert extract([pair], ExtractSettings(threshold=0)).equal == 1
    stronger = Compared(Target("unet", QUERY), (1.1 * weight).to(dtype), weight)
    assert extract([stronger], ExtractSettings(threshold=0)).equal == 0


def test_vectors_are_counted_or_kept() -> None:
    make = Maker(SDXL)
    pairs = [
        Compared(Target("unet", NORM), make.random(32), make.random(32)),
        Compared(Target("unet", CONV), make.random(16), make.random(16), BIAS),
    ]
    found = extract(pairs, ExtractSettings())
    assert found.vectors == [f"unet: {NORM}", f"unet: {CONV} (bias)"]
    assert not found.layers
    kept = extract(pairs, EXACTLY)
    assert [layer.algorithm for layer in kept.layers] == ["diff", "bias"]
    assert not kept.vectors


def test_only_one_pair_is_in_memory() -> None:
    """When the next one is made, the last one is a layer already, and gone."""
    alive: list[weakref.ref[torch.Tensor]] = []
    steps: list[int] = []

    def pair(number: int) -> Compared:
        assert len(steps) == number
        assert not [each for each in alive if each() is not None]
        weight = Maker(SDXL, number).random(32, 32)
        found = Compared(Target("unet", QUERY), 2 * weight, weight)
        alive.extend(map(weakref.ref, (found.tuned, found.original)))
        return found

    extract((pair(number) for number in range(3)), ExtractSettings(), step=lambda: steps.append(1))
    assert len(alive) == 6


def test_what_a_lora_cannot_hold_is_told(tmp_path: Path) -> None:
    original = {**model_of(SDXL), "loose_token": torch.zeros(3)}
    tuned = {**original, "loose_token": torch.ones(3)}
    tuned["input_blocks.0.0.weight"] = torch.zeros(16, 9, 3, 3)
    tuned[f"{QUERY}.weight"] = tuned[f"{QUERY}.weight"] * 2
    del tuned["out.2.weight"]
    pairs = compared(tmp_path, tuned, original)
    found = extract(pairs, EXACTLY)
    assert found.left_out == [
        "unet: input_blocks.0.0 has the sizes (16, 9, 3, 3) and (16, 4, 3, 3)"
    ]
    assert pairs.uncomparable() == [
        "unet: out.2 (weight) is only in original.safetensors",
        "loose_token differs and is no module's",
    ]


def test_errors_name_what_is_wrong(tmp_path: Path) -> None:
    weight = model_of(SDXL)[f"{QUERY}.weight"]
    same = Compared(Target("unet", QUERY), weight, weight)
    with pytest.raises(LoraFormatError, match="do not differ in any of 1 parameters"):
        extracted_lora(extract([same], EXACTLY), SDXL, EXACTLY, {}, title="x")
    make = Maker(SDXL)
    vector = Compared(Target("unet", NORM), make.random(32), make.random(32))
    with pytest.raises(LoraFormatError, match=r"differ only in .*norm1. Exp.*Switch differences"):
        extracted_lora(extract([same, vector], ExtractSettings()), SDXL, EXACTLY, {}, title="x")
    broken = Compared(Target("unet", QUERY), weight * float("nan"), weight)
    with pytest.raises(LoraFormatError, match="no numbers in one of the models"):
        extract([broken], EXACTLY)
    other = read_base(checkpoint(tmp_path / "z.safetensors", model_of(Z_IMAGE)))
    sdxl = read_base(checkpoint(tmp_path / "s.safetensors", model_of(SDXL)))
    with pytest.raises(LoraFormatError, match=r"z.safetensors is Z-Image, and s.* is SDXL"):
        Checkpoints(tuned=other, original=sdxl)
    scaled = {**model_of(SDXL), f"{QUERY}.scale_weight": torch.ones(1)}
    quantised = read_base(checkpoint(tmp_path / "q.safetensors", scaled))
    with pytest.raises(LoraFormatError, match=r"q.safetensors is quantised.*Extract LoRA node"):
        Checkpoints(tuned=quantised, original=sdxl)


def test_the_header_says_how_it_was_made() -> None:
    weight = model_of(SDXL)[f"{QUERY}.weight"]
    found = extract([Compared(Target("unet", QUERY), 2 * weight, weight)], EXACTLY)
    sources = {"tuned": {"name": "a"}, "original": {"name": "b"}}
    metadata = extracted_lora(found, SDXL, EXACTLY, sources, title="it").metadata
    assert json.loads(metadata["kiln_extracted_from"]) == sources
    assert json.loads(metadata["kiln_extract"])["rank"] == 8
    assert metadata["ss_network_dim"] == "8"
    assert metadata["ss_base_model_version"] == "sdxl_base_v1-0"
