"""Conversions that change numbers, leave something out, or meet what stands there already."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_kiln.core.errors import LoraFormatError
from lora_kiln.lora_format.bake import total_change
from lora_kiln.lora_format.base import read_base
from lora_kiln.lora_format.convert import Conversion, ConvertSettings, convert, write_proven
from lora_kiln.lora_format.dtypes import cast
from lora_kiln.lora_format.ir import Layer, Target
from lora_kiln.lora_format.read import read
from lora_kiln.lora_format.save import safe_name, save_conversion
from lora_kiln.tests.lora_format.small_loras import (
    FEED,
    QUERY,
    SDXL,
    TEXT,
    Maker,
    changes_of,
    largest_error,
    lora_of,
    model_of,
    reading_of,
    saved_changes,
)


def converted(folder: Path, layers: list[Layer], **settings: object) -> Conversion:
    """Write a file and convert it."""
    reading = reading_of(folder / "source.safetensors", SDXL, layers)
    return convert(reading, ConvertSettings(**settings))  # type: ignore[arg-type]


def dora(*, over_outputs: bool = False, path: str = QUERY) -> Layer:
    layer = Maker(SDXL, 1).lora(path, 4, 3.0)
    up, down = layer.factors["lora_up"], layer.factors["lora_down"]
    shape = (up.shape[0], 1) if over_outputs else (1, down.shape[1])
    return replace(layer, dora_scale=Maker(SDXL, 2).random(*shape).abs() + 1)


def rotation() -> Layer:
    blocks = Maker(SDXL).random(4, 8, 8) * 0.01
    return Layer(
        target=Target("unet", QUERY), algorithm="oft", factors={"oft_blocks": blocks}, alpha=0.0
    )


def test_folding_into_a_wider_format_rounds_nothing(tmp_path: Path) -> None:
    """Multiplied in as fp16, 1.1 / 4 would cost a rounding, which fp32 does not excuse."""
    layers = [Maker(SDXL, 1, torch.float16).lora(QUERY, 4, 1.1)]
    conversion = converted(tmp_path, layers, fold_alpha=True, dtype="fp32")
    assert conversion.proof.worst[1] < 1e-7
    found = saved_changes(tmp_path / "new.safetensors", SDXL, conversion)
    assert largest_error(found, changes_of(layers, SDXL.table)) < 1e-3


def test_the_header_tells_the_alpha_of_now(tmp_path: Path) -> None:
    told = {"ss_network_alpha": "1.1", "ss_network_dim": "4", "modelspec.title": "mine"}
    reading = reading_of(tmp_path / "a.safetensors", SDXL, [Maker(SDXL).lora(QUERY, 4, 1.1)], told)
    kept = convert(reading, ConvertSettings()).metadata
    assert (kept["ss_network_alpha"], kept["modelspec.title"]) == ("1.1", "mine")
    folded = convert(reading, ConvertSettings(fold_alpha=True)).metadata
    assert (folded["ss_network_alpha"], folded["modelspec.title"]) == ("4", "mine")


@pytest.mark.parametrize("layer", [dora(), rotation()], ids=["dora", "oft"])
def test_other_number_formats_are_within_one_rounding(layer: Layer, tmp_path: Path) -> None:
    conversion = converted(tmp_path, [layer], dtype="fp16")
    assert 0 < conversion.proof.worst[1] < 2e-3
    (made,) = conversion.lora.layers
    assert {factor.dtype for factor in made.factors.values()} == {torch.float16}


def test_numbers_that_a_format_cannot_hold(tmp_path: Path) -> None:
    layer = Maker(SDXL, 1).lora(QUERY)
    layer.factors["lora_up"].mul_(1e-7)
    with pytest.raises(LoraFormatError, match=r"differs from its source by .*Choose fp32 as dtype"):
        converted(tmp_path, [layer], dtype="fp16")
    large = replace(dora(), dora_scale=torch.full((1, 32), 1e5))
    with pytest.raises(LoraFormatError, match=r"values up to 1e\+05.*bf16 or fp32"):
        cast(large, torch.float16)


def test_each_module_has_the_limit_of_its_own_format() -> None:
    """A bf16 layer beside it does not excuse an error of 1e-3 in a layer of fp32."""
    exact, other = Maker(SDXL, 1).lora(QUERY), Maker(SDXL, 2, torch.bfloat16).lora(FEED)
    off = replace(exact, factors={**exact.factors, "lora_up": exact.factors["lora_up"] * 1.001})
    with pytest.raises(LoraFormatError, match=r"by 0.001 in unet: .*at most 1e-06"):
        write_proven(
            lora_of(SDXL, [off, other]), SDXL.table, to="kohya",
            source=lora_of(SDXL, [exact, other]), name="x",
        )


def test_lossy_leaves_out_what_a_format_has_no_place_for(tmp_path: Path) -> None:
    make = Maker(SDXL, 1)
    layers = [make.lora(QUERY), make.lora(TEXT, component="clip_l"), make.loha(FEED)]
    with pytest.raises(LoraFormatError, match=r"is LoHa|has layers of text_encoder"):
        converted(tmp_path, layers, to="peft")
    conversion = converted(tmp_path, layers, to="peft", lossy=True)
    assert conversion.left_out == ("The LoRA has layers of text_encoder", f"unet: {FEED} is LoHa")
    assert [layer.target for layer in conversion.lora.layers] == [Target("unet", QUERY)]
    with pytest.raises(LoraFormatError, match="has no layer that can be converted"):
        converted(tmp_path, layers[1:], to="peft", lossy=True)


def test_lossy_leaves_out_what_needs_the_base_model(tmp_path: Path) -> None:
    layers = [dora(over_outputs=True), Maker(SDXL).lora(FEED)]
    with pytest.raises(LoraFormatError, match=r"1 layers are DoRA with .*over outputs.*--lossy"):
        converted(tmp_path, layers)
    conversion = converted(tmp_path, layers, lossy=True)
    assert conversion.left_out == (f"unet: {QUERY} is DoRA with magnitudes over outputs",)
    assert [layer.target for layer in conversion.lora.layers] == [Target("unet", FEED)]


@pytest.mark.parametrize("over_outputs", [False, True])
def test_unused_channels_stay_unused_in_dora(over_outputs: bool) -> None:
    """Their norm is zero, and so are their magnitudes: zero times 0/0 is no number."""
    layer = dora(over_outputs=over_outputs)
    weight = Maker(SDXL, 3).random(*SDXL.table.shape(layer.target))
    dead = (0, slice(None)) if over_outputs else (slice(None), 0)
    weight[dead] = 0
    layer.factors["lora_up" if over_outputs else "lora_down"][dead] = 0
    assert layer.dora_scale is not None
    layer.dora_scale.view(-1)[0] = 0
    change = total_change(layer, weight)
    assert change.isfinite().all()
    assert (change[dead] == 0).all()


def test_quantised_weights_are_not_multiplied_out_with(tmp_path: Path) -> None:
    """Without its scale, a weight is another one, and the difference with it."""
    tensors = {f"model.diffusion_model.{key}": value for key, value in model_of(SDXL).items()}
    scale = {f"model.diffusion_model.{QUERY}.scale_weight": torch.tensor(2.0)}
    save_file({**tensors, **scale}, tmp_path / "quantised.safetensors")
    reading = reading_of(tmp_path / "a.safetensors", SDXL, [dora(over_outputs=True)])
    with pytest.raises(LoraFormatError, match=r"quantised\.safetensors is quantised"):
        convert(reading, ConvertSettings(), read_base(tmp_path / "quantised.safetensors"))


def test_bakes_in_the_format_that_was_asked_for(tmp_path: Path) -> None:
    save_file({f"model.diffusion_model.{key}": value for key, value in model_of(SDXL).items()},
              tmp_path / "base.safetensors")
    base = read_base(tmp_path / "base.safetensors")
    layer = cast(dora(over_outputs=True), torch.float16)
    reading = reading_of(tmp_path / "a.safetensors", SDXL, [layer])
    exact = total_change(layer, base.weight(layer.target))
    for dtype, limit in (("fp32", 1e-7), ("keep", 1e-3)):
        (made,) = convert(reading, ConvertSettings(dtype=dtype), base).lora.layers
        assert float((made.factors["diff"].double() - exact).norm() / exact.norm()) < limit


@pytest.mark.parametrize("to", ["diffusers", "peft"])
def test_the_same_factors_of_another_scale_are_another_file(to: str, tmp_path: Path) -> None:
    """Their alpha stands outside of the tensors; a file that was published keeps its own."""
    paths, first = [], b""
    for alpha in (1.0, 4.0, 1.0, 4.0):
        conversion = converted(tmp_path, [Maker(SDXL, 1).lora(QUERY, 4, alpha)], to=to)
        path = save_conversion(conversion, tmp_path / "out" / "my.style.safetensors").path
        assert path is not None
        assert read(path, SDXL).lora.layers[0].alpha == alpha
        paths.append(path.relative_to(tmp_path / "out").as_posix())
        first = first or path.read_bytes()
    one, two = ("my.style.safetensors", "my.style-v2.safetensors") if to == "diffusers" else (
        "my.style/adapter_model.safetensors", "my.style-v2/adapter_model.safetensors"
    )
    assert paths == [one, two, one, two]
    assert (tmp_path / "out" / one).read_bytes() == first


def test_settings_of_another_adapter_are_spared(tmp_path: Path) -> None:
    """Other factors too get a folder of their own: PEFT reads one name for settings only."""
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"r": 99}')
    conversion = converted(tmp_path, [Maker(SDXL, 1).lora(QUERY, 4, 2.0)], to="peft")
    path = save_conversion(conversion, tmp_path / "x.safetensors").path
    assert path == tmp_path / "x-v2" / "adapter_model.safetensors"
    assert json.loads((folder / "adapter_config.json").read_text()) == {"r": 99}
    path.with_name("adapter_config.json").unlink()
    assert save_conversion(conversion, tmp_path / "x-v2.safetensors").path == path
    assert read(path, SDXL).lora.layers[0].alpha == 2.0


def words_file(path: Path) -> Path:
    """Words of which ComfyUI reads one whole, one in part, and one not at all."""
    save_file({
        "bundle_emb.whole.clip_l": torch.ones(1, 768), "bundle_emb.part.clip_l": torch.ones(1, 768),
        "bundle_emb.part.clip_l_out": torch.ones(1, 768), "bundle_emb.none.t5": torch.ones(1, 4096),
    }, path)
    return path


def test_parts_of_words_are_not_lost_silently(tmp_path: Path) -> None:
    reading = read(words_file(tmp_path / "words.safetensors"))
    with pytest.raises(LoraFormatError, match=r"part clip_l_out, which ComfyUI does not|part t5"):
        convert(reading, ConvertSettings())
    conversion = convert(reading, ConvertSettings(lossy=True))
    assert len(conversion.left_out) == 2
    saved = save_conversion(conversion, tmp_path / "out" / "words.safetensors")
    assert saved.path is None
    assert sorted(path.name for path in saved.embeddings) == [
        "part.safetensors", "whole.safetensors"
    ]
    assert all(list(load_file(path)) == ["clip_l"] for path in saved.embeddings)


def test_triggers_as_file_names() -> None:
    assert safe_name("my word") == "my_word"
    assert safe_name("../a:b") == "_a_b"
    assert safe_name(" . ") == "embedding"
    assert len(safe_name("ä" * 300).encode()) == 200
