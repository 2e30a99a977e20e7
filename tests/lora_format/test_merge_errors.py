"""What cannot be merged, and what is said about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lora_kiln.core.errors import ConfigError, LoraFormatError
from lora_kiln.lora_format.ir import Layer, Target
from lora_kiln.lora_format.merge import MergeSettings, Source, merge
from lora_kiln.lora_format.read import read
from lora_kiln.tests.lora_format.small_loras import (
    FEED,
    QKV,
    QUERY,
    SDXL,
    Z_IMAGE,
    Maker,
    changes_of,
    reading_of,
    written,
)

EXACT = MergeSettings()


def dora(path: str) -> Layer:
    layer = Maker(SDXL, 3).lora(path)
    inputs = layer.factors["lora_down"].shape[1]
    return replace(layer, dora_scale=torch.full((1, inputs), 2.0))


class Weights:
    """A base model of random weights."""

    def weight(self, target: Target) -> torch.Tensor:
        return Maker(SDXL, 9).random(*SDXL.table.shape(target))


def test_dora_needs_the_base_model(tmp_path: Path) -> None:
    plain = Maker(SDXL, 1).lora(QUERY)
    sources = [
        Source(reading=reading_of(tmp_path / "dora.safetensors", SDXL, [dora(QUERY), dora(FEED)])),
        Source(reading=reading_of(tmp_path / "plain.safetensors", SDXL, [plain])),
    ]
    with pytest.raises(LoraFormatError, match=r"is DoRA, whose change depends.*--base FILE"):
        merge(sources, EXACT)
    outcome = merge(sources, MergeSettings(lossy=True))
    assert len(outcome.conversion.left_out) == 2
    assert [layer.target.module_path for layer in outcome.conversion.lora.layers] == [QUERY]
    baked = merge(sources, EXACT, Weights())
    found = changes_of(baked.conversion.lora.layers, SDXL.table)["unet", QUERY, "weight"]
    weight = Weights().weight(Target("unet", QUERY)).to(torch.float64)
    place = ("unet", QUERY, "weight")
    turned = weight + changes_of([dora(QUERY)], SDXL.table)[place]
    wanted = turned / turned.norm(dim=0) * 2 - weight + changes_of([plain], SDXL.table)[place]
    assert float((found - wanted).norm() / wanted.norm()) < 1e-6


def test_families_do_not_mix(tmp_path: Path) -> None:
    sources = [
        Source(reading=reading_of(tmp_path / f"{name}.safetensors", base, [Maker(base).lora(path)]))
        for name, base, path in (("one", SDXL, QUERY), ("two", Z_IMAGE, QKV))
    ]
    with pytest.raises(LoraFormatError, match=r"one.* is for SDXL, and two.* is for Z-Image"):
        merge(sources, EXACT)


def test_errors_name_what_is_wrong(tmp_path: Path) -> None:
    layer = Maker(SDXL).lora(QUERY)
    reading = reading_of(tmp_path / "one.safetensors", SDXL, [layer])
    with pytest.raises(LoraFormatError, match="two or more"):
        merge([Source(reading=reading)], EXACT)
    with pytest.raises(LoraFormatError, match="Nothing is left"):
        merge([Source(reading=reading, weight=0)] * 2, EXACT)
    with pytest.raises(LoraFormatError, match="weight is nan"):
        merge([Source(reading=reading, weight=float("nan")), Source(reading=reading)], EXACT)
    with pytest.raises(ConfigError, match="rank is 0"):
        MergeSettings(rank=0)
    layer.factors["lora_up"][0, 0] = float("inf")
    broken = read(written(tmp_path / "two.safetensors", SDXL, [layer]), SDXL)
    with pytest.raises(LoraFormatError, match=r"In two.safetensors, .*in lora_up that are no num"):
        merge([Source(reading=reading), Source(reading=broken)], EXACT)
    scaled = replace(dora(FEED), dora_scale=torch.full((1, 32), float("nan")))
    broken = read(written(tmp_path / "three.safetensors", SDXL, [scaled]), SDXL)
    with pytest.raises(LoraFormatError, match="values in dora_scale that are no numbers"):
        merge([Source(reading=reading), Source(reading=broken)], EXACT, Weights())


def test_words_alone_are_no_lora(tmp_path: Path) -> None:
    words = tmp_path / "words.safetensors"
    save_file({"bundle_emb.mine.clip_l": torch.ones(1, 768)}, words)
    lora = reading_of(tmp_path / "one.safetensors", Z_IMAGE, [Maker(Z_IMAGE).lora(QKV)])
    for readings in ([read(words), lora], [lora, read(words)]):
        with pytest.raises(LoraFormatError, match=r"words.safetensors has no layer.*only trained"):
            merge([Source(reading=reading) for reading in readings], EXACT)


def test_what_is_left_out_names_its_file(tmp_path: Path) -> None:
    sources = [
        Source(reading=reading_of(tmp_path / f"{index}.safetensors", SDXL, layers))
        for index, layers in enumerate([[Maker(SDXL).lora(QUERY)], [dora(QUERY), dora(FEED)]])
    ]
    left_out = merge(sources, MergeSettings(lossy=True)).conversion.left_out
    assert left_out == tuple(f"1.safetensors: unet: {path} is DoRA" for path in (QUERY, FEED))


def test_fp16_overflow_is_told(tmp_path: Path) -> None:
    one, two = (Maker(SDXL, seed, torch.float16).lora(QUERY, 2, 2.0) for seed in (1, 2))
    two.factors["lora_up"].fill_(60000.0)
    sources = [
        Source(reading=reading_of(tmp_path / f"{index}.safetensors", SDXL, [layer]), weight=weight)
        for index, (layer, weight) in enumerate([(one, 0.1), (two, 1.0)])
    ]
    with pytest.raises(LoraFormatError, match=r"values up to .*bf16 or fp32"):
        merge(sources, EXACT)
