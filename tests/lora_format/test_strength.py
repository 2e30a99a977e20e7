"""A baked strength is the source's, as the stock loader itself patches weights with both."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_kiln.core.errors import ConfigError, LoraFormatError
from lora_kiln.lora_format.edit_reports import lines_of, strength_report
from lora_kiln.lora_format.family import families
from lora_kiln.lora_format.format import writer
from lora_kiln.lora_format.ir import Target
from lora_kiln.lora_format.published import file_sha256
from lora_kiln.lora_format.read import Base, read
from lora_kiln.lora_format.save import save_conversion
from lora_kiln.lora_format.stock_names import stock_names
from lora_kiln.lora_format.strength import StrengthSettings, bake_strength, baked_name
from lora_kiln.tests.lora_format.small_loras import (
    CONV,
    NORM,
    QKV,
    QUERY,
    SDXL,
    TEXT,
    Z_IMAGE,
    Maker,
    Tensors,
    lora_of,
    reading_of,
    written,
)
from lora_kiln.tests.lora_format.strength_kinds import DEPENDENT, LINEAR, dora, plain

STRENGTHS = (0.65, -0.4, 1.7)
ROUNDING = {torch.float32: 1e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}


class Weights:
    """A model's weights, the same at every call, as they would be on disk."""

    def __init__(self, base: Base) -> None:
        self.table = base.table

    def whole(self, component: str, path: str) -> torch.Tensor:
        shape = self.table.shape(Target(component, path))
        chance = torch.Generator().manual_seed(sum(map(ord, path)))
        return torch.randn(*shape, generator=chance) / math.sqrt(shape[-1])

    def weight(self, target: Target) -> torch.Tensor:
        found = self.whole(target.component, target.module_path)
        return found if target.rows is None else found[slice(*target.rows)]


def place_of(target: Target) -> Any:
    prefix = "model" if target.component == "unet" else target.component
    key = f"{prefix}.{target.module_path}.weight"
    return key if target.rows is None else (
        key, (0, target.rows[0], target.rows[1] - target.rows[0])
    )


def patched(base: Base, path: Path, strength: float) -> Tensors:
    """What the stock loader adds to each weight and bias for a file at a strength."""
    from lora_kiln.tests.lora_format import comfy_models

    names = stock_names(families()[base.family], base.table)
    patches = comfy_models.load(
        load_file(path), {name: place_of(target) for name, target in names.items()}
    )
    before: Tensors = {}
    for place in patches:
        key = place if isinstance(place, str) else place[0]
        component, _, rest = key.partition(".")
        module, _, kind = rest.rpartition(".")
        weight = Weights(base).whole("unet" if component == "model" else component, module)
        before[key] = (weight if kind == "weight" else torch.zeros(len(weight))).double()
    # The loader inverts rotations in single precision only.
    turned = any("oft_blocks" in key for key in load_file(path))
    exact = torch.float32 if turned else torch.float64
    after = comfy_models.apply(patches, before, exact, strength)
    return {key: after[key] - before[key] for key in before}


def far(found: Tensors, wanted: Tensors) -> float:
    """The largest relative error over all weights."""
    assert found.keys() == wanted.keys()
    assert all(float(value.norm()) > 0 for value in wanted.values())
    return max(float((found[key] - value).norm() / value.norm()) for key, value in wanted.items())


@pytest.mark.usefixtures("comfy")
@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("kind", [*LINEAR, *DEPENDENT])
def test_the_stock_loader_makes_the_same_of_it(
    kind: str, strength: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    layers = {**LINEAR, **DEPENDENT}[kind](Maker(SDXL, 3))
    reading = reading_of(tmp_path / "style.safetensors", SDXL, layers)
    weights = Weights(SDXL) if kind in DEPENDENT else None
    baked = bake_strength(reading, StrengthSettings(strength=strength), weights)
    saved = save_conversion(baked.conversion, tmp_path / "baked.safetensors")
    assert saved.path is not None
    with caplog.at_level(logging.WARNING):
        wanted = patched(SDXL, reading.path, strength)
        assert far(patched(SDXL, saved.path, 1.0), wanted) < 2e-6
    assert [record.getMessage() for record in caplog.records] == []
    assert baked.conversion.proof.worst[1] < 1e-6
    assert len(baked.dependent) == (len(layers) if kind in DEPENDENT else 0)
    assert bool(baked.misread) == (kind in ("dora over outputs", "oft with rescale"))
    assert not read(saved.path, SDXL).errors


@pytest.mark.usefixtures("comfy")
@pytest.mark.parametrize("dtype", list(ROUNDING), ids=str)
@pytest.mark.parametrize("kind", ["lora", "lokr of whole sides", "difference", "norm", "oft"])
def test_half_precision_costs_one_rounding(
    kind: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    layers = {**LINEAR, **DEPENDENT}[kind](Maker(SDXL, 4, dtype))
    reading = reading_of(tmp_path / "half.safetensors", SDXL, layers)
    baked = bake_strength(reading, StrengthSettings(strength=0.7), Weights(SDXL))
    saved = save_conversion(baked.conversion, tmp_path / "baked.safetensors")
    assert saved.path is not None
    kept = load_file(saved.path)
    assert {t.dtype for key, t in kept.items() if not key.endswith(".alpha")} == {dtype}
    limit = 2e-6 if kind == "lora" else 2 * ROUNDING[dtype]
    assert far(patched(SDXL, saved.path, 1.0), patched(SDXL, reading.path, 0.7)) < limit
    exact = bake_strength(reading, StrengthSettings(strength=0.7, dtype="fp32"), Weights(SDXL))
    assert exact.conversion.proof.worst[1] < 1e-6


@pytest.mark.usefixtures("comfy")
def test_parts_of_fused_modules(tmp_path: Path) -> None:
    make = Maker(Z_IMAGE, 5)
    plain = [make.lora(QKV, rows=(0, 24)), make.lora(QKV, rows=(48, 72))]
    scale = make.random(24, 1).abs() + 0.5
    parts = [plain[0], replace(plain[1], dora_scale=scale)]
    reading = reading_of(tmp_path / "parts.safetensors", Z_IMAGE, parts)
    baked = bake_strength(reading, StrengthSettings(strength=0.3), Weights(Z_IMAGE))
    saved = save_conversion(baked.conversion, tmp_path / "baked.safetensors")
    assert saved.path is not None
    wanted = patched(Z_IMAGE, reading.path, 0.3)
    assert far(patched(Z_IMAGE, saved.path, 1.0), wanted) < 1e-6


def test_factors_of_a_lora_stay_bit_for_bit(tmp_path: Path) -> None:
    reading = reading_of(tmp_path / "a.safetensors", SDXL, plain(Maker(SDXL, 1, torch.bfloat16)))
    for strength in (0.65, -0.65):
        made = bake_strength(reading, StrengthSettings(strength=strength)).conversion.lora.layers
        for before, after in zip(reading.lora.layers, made, strict=True):
            assert torch.equal(before.factors["lora_down"], after.factors["lora_down"])
            sign = math.copysign(1, strength)
            assert torch.equal(sign * before.factors["lora_up"], after.factors["lora_up"])
            assert after.alpha == pytest.approx(2 * 0.65)


def test_text_encoders_have_a_share(tmp_path: Path) -> None:
    reading = reading_of(tmp_path / "a.safetensors", SDXL, plain(Maker(SDXL, 1)))
    for share, alphas in ((1.0, [1.0, 1.0, 1.0]), (3.0, [1.0, 1.0, 3.0]), (0.0, [1.0, 1.0])):
        settings = StrengthSettings(strength=0.5, text_share=share)
        made = bake_strength(reading, settings).conversion
        assert sorted(layer.alpha or 0.0 for layer in made.lora.layers) == alphas
        told = json.loads(made.metadata["kiln_bake"])
        assert told == {"strength": 0.5, "text_strength": 0.5 * share}
        assert made.left_out == ()


def test_the_header_is_carried_over_and_says_what_was_baked(tmp_path: Path) -> None:
    told = {"ss_tag_frequency": "{}", "ss_network_alpha": "2", "modelspec.title": "Mine",
            "modelspec.author": "me", "sshs_model_hash": "of the source"}
    reading = reading_of(tmp_path / "a.safetensors", SDXL, [Maker(SDXL).lora(QUERY, 4)], told)
    settings = StrengthSettings(strength=0.25)
    baked = bake_strength(reading, settings, title="quarter")
    metadata = baked.conversion.metadata
    assert metadata["ss_tag_frequency"] == "{}" and metadata["modelspec.author"] == "me"
    assert (metadata["ss_network_dim"], metadata["ss_network_alpha"]) == ("4", "0.5")
    assert metadata["modelspec.title"] == "quarter"
    assert "sshs_model_hash" not in metadata
    assert json.loads(metadata["kiln_baked_from"]) == {
        "name": "a.safetensors", "sha256": file_sha256(reading.path),
    }
    saved = save_conversion(baked.conversion, tmp_path / "out" / "quarter.safetensors")
    report = strength_report(baked, settings, saved)
    assert "at most" in report["proof"] and report["notes"] == ["strength 1 is the source's 0.25"]
    assert any(line.startswith("proof ") for line in lines_of(report))


@pytest.mark.parametrize("kind", list(DEPENDENT))
def test_what_depends_on_the_model_needs_it(kind: str, tmp_path: Path) -> None:
    layers = [*DEPENDENT[kind](Maker(SDXL, 2)), Maker(SDXL).difference(NORM)]
    reading = reading_of(tmp_path / "a.safetensors", SDXL, layers)
    with pytest.raises(LoraFormatError, match="Connect the model") as failure:
        bake_strength(reading, StrengthSettings(strength=0.5))
    assert kind.split()[0].upper() in failure.value.found.upper()
    lossy = bake_strength(reading, StrengthSettings(strength=0.5, lossy=True)).conversion
    assert len(lossy.left_out) == len(layers) - 1 and len(lossy.lora.layers) == 1
    same = bake_strength(reading, StrengthSettings(strength=1.0)).conversion
    assert same.proof.worst[1] == 0 and len(same.lora.layers) == len(layers)


def test_strength_zero_and_values_that_are_none(tmp_path: Path) -> None:
    reading = reading_of(tmp_path / "a.safetensors", SDXL, [Maker(SDXL).lora(QUERY)])
    with pytest.raises(LoraFormatError, match="does nothing"):
        bake_strength(reading, StrengthSettings(strength=0.0))
    for wrong in (math.nan, math.inf, 101.0):
        with pytest.raises(ConfigError, match="strength"):
            StrengthSettings(strength=wrong)
    text = reading_of(
        tmp_path / "text.safetensors", SDXL, [Maker(SDXL).lora(TEXT, component="clip_l")]
    )
    with pytest.raises(LoraFormatError, match="Nothing is left"):
        bake_strength(text, StrengthSettings(strength=0.5, text_share=0.0))


@pytest.mark.parametrize("fault", ["names", "alpha", "core", "magnitudes"])
def test_a_file_that_the_loader_shows_otherwise_is_refused(fault: str, tmp_path: Path) -> None:
    make = Maker(SDXL, 6)
    path = tmp_path / "a.safetensors"
    if fault in ("names", "alpha"):
        path = written(path, SDXL, [make.lora(QUERY), make.lora(CONV)], "diffusers")
    elif fault == "core":
        layer = make.lokr(CONV)
        factors = {"lokr_w1": layer.factors["lokr_w1"], "lokr_w2_a": make.random(2, 4),
                   "lokr_w2_b": make.random(2, 4), "lokr_t2": make.random(2, 2, 3, 3)}
        # As LyCORIS saves it; our own writer multiplies the core in.
        save_file({f"lora_unet_{CONV.replace('.', '_')}.{name}": t for name, t in factors.items()},
                  path)
    else:
        (layer, *_) = dora(make, inputs=False)
        tensors = writer("kohya")(lora_of(SDXL, [layer]), SDXL.table).tensors
        save_file({key: t.flatten() if key.endswith("dora_scale") else t.contiguous()
                   for key, t in tensors.items()}, path)
    with pytest.raises(LoraFormatError, match="bake that one") as failure:
        bake_strength(read(path, SDXL), StrengthSettings(strength=0.5), Weights(SDXL))
    assert "onvert" in failure.value.remedy


def test_values_that_a_format_cannot_hold_are_told(tmp_path: Path) -> None:
    layer = Maker(SDXL, 1, torch.float16).difference(QUERY)
    reading = reading_of(tmp_path / "a.safetensors", SDXL, [layer])
    tiny = StrengthSettings(strength=1e-6)
    with pytest.raises(LoraFormatError, match="fp32"):
        bake_strength(reading, tiny)
    assert bake_strength(reading, replace(tiny, dtype="fp32")).conversion.proof.worst[1] < 1e-6
    huge = reading_of(
        tmp_path / "b.safetensors", SDXL,
        [replace(layer, factors={"diff": layer.factors["diff"] * 1e3})],
    )
    with pytest.raises(LoraFormatError, match="bf16 or fp32"):
        bake_strength(huge, StrengthSettings(strength=100.0))


def test_names() -> None:
    path = Path("x/my.style.safetensors")
    for settings, name in (
        (StrengthSettings(strength=0.8), "my.style_at_0.8"),
        (StrengthSettings(strength=-1.25, text_share=0.5), "my.style_at_-1.25_text_0.5"),
    ):
        assert baked_name(path, settings) == f"{name}.safetensors"
