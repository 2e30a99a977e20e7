"""Every known way for a LoRA to do nothing gets the verdict that helps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lora_kiln.core.errors import LoraFormatError
from lora_kiln.lora_format.base import read_base
from lora_kiln.lora_format.convert import ConvertSettings, convert
from lora_kiln.lora_format.family import table_of
from lora_kiln.lora_format.inspect import Report, inspect
from lora_kiln.lora_format.read import Base, read
from lora_kiln.lora_format.save import save_conversion
from lora_kiln.lora_format.told import told
from lora_kiln.lora_format.verdict import IN_ORDER, ORDER
from lora_kiln.tests.lora_format.failure_rows import BLOCK, ROWS, SD15, Row
from lora_kiln.tests.lora_format.small_files import kohya, pairs, write, write_tiny_sdxl

CONVERTIBLE = [row for row in ROWS if row.converts is True]
REFUSED = [row for row in ROWS if isinstance(row.converts, str)]


def inspected(row: Row, folder: Path) -> Report:
    return inspect(row.write(folder), row.model, comfyui_version=row.version or None)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_verdict(row: Row, tmp_path: Path) -> None:
    report = inspected(row, tmp_path)
    assert report.rule == row.rule
    assert report.works is row.works
    for part in row.says:
        assert part in report.verdict
    assert row.do in report.remedy
    assert report.rule in (*ORDER, IN_ORDER)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_verdict_is_written_for_people(row: Row, tmp_path: Path) -> None:
    report = inspected(row, tmp_path)
    for text in (report.verdict, report.remedy):
        assert re.fullmatch(r"([A-Z]\w*['’]?\w*|[\w.]*[._][\w.]*) .+[^.]\.", text), text
        assert not re.search(r"\b(1 layers|[02-9] layer\b|None|nan)", text), text
    lines = told(report).splitlines()
    assert lines[:3] == [report.path, f"  {report.verdict}", f"  {report.remedy}"]


@pytest.mark.parametrize("row", CONVERTIBLE, ids=str)
def test_what_can_be_converted_works_afterwards(row: Row, tmp_path: Path) -> None:
    source = row.write(tmp_path)
    conversion = convert(read(source, row.model), ConvertSettings())
    saved = save_conversion(conversion, tmp_path / "new.safetensors")
    assert saved.path is not None
    report = inspect(saved.path, row.model)
    assert report.works, report.verdict
    # What is as it should be before and what only training can mend stay as they are.
    kept = row.rule if row.rule in ("alpha-one", "tripled-rank", "zero-layers", "alpha-zero",
                                    "text-encoder-only") else "in-order"
    assert report.rule == kept
    assert report.unmatched == ()


@pytest.mark.parametrize("row", REFUSED, ids=str)
def test_what_cannot_be_converted_says_why(row: Row, tmp_path: Path) -> None:
    source = row.write(tmp_path)
    with pytest.raises(LoraFormatError, match=re.escape(str(row.converts))):
        convert(read(source, row.model), ConvertSettings())


def test_trained_words_become_files(tmp_path: Path) -> None:
    row = next(row for row in ROWS if row.rule == "embeddings-inside")
    conversion = convert(read(row.write(tmp_path)), ConvertSettings())
    saved = save_conversion(conversion, tmp_path / "new.safetensors", tmp_path / "embeddings")
    assert [path.name for path in saved.embeddings] == ["my_trigger.safetensors"]
    assert set(load_file(saved.embeddings[0])) == {"clip_l", "clip_g"}


@pytest.mark.parametrize(("suffix", "shape"), [
    ("dora_scale", (32,)), ("dora_scale", (32, 1)), ("lora_magnitude_vector", (32,)),
])
def test_dora_over_outputs_converts_with_the_base_model(
    suffix: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    """It becomes the difference that PEFT makes of it: each row scaled to its magnitude."""
    name = f"unet.{BLOCK}attn1.to_q"
    tensors = pairs({f"{BLOCK}attn1.to_q": (32, 32)}, prefix="unet.")
    magnitudes = torch.linspace(1, 2, 32)
    source = write(
        tmp_path / "dora.safetensors",
        tensors | {f"{name}.{suffix}": magnitudes.reshape(shape)},
    )
    model = read_base(write_tiny_sdxl(tmp_path / "model.safetensors"))
    conversion = convert(read(source, model.base), ConvertSettings(), model)
    saved = save_conversion(conversion, tmp_path / "new.safetensors")
    assert saved.path is not None
    report = inspect(saved.path, model.base, weights=model)
    assert (report.rule, report.works) == ("in-order", True)
    module = "input_blocks.4.1.transformer_blocks.0.attn1.to_q"
    weight = load_file(tmp_path / "model.safetensors")[f"model.diffusion_model.{module}.weight"]
    moved = weight + tensors[f"{name}.lora_B.weight"] @ tensors[f"{name}.lora_A.weight"]
    expected = magnitudes[:, None] * moved / moved.norm(dim=1, keepdim=True) - weight
    key = f"lora_unet_{module.replace('.', '_')}.diff"
    assert torch.allclose(load_file(saved.path)[key], expected, atol=1e-5)


def test_a_model_without_text_encoders_serves(tmp_path: Path) -> None:
    """What the LoRA does to an encoder has no weight to be measured by, and that is no error."""
    source = write(
        tmp_path / "lora.safetensors",
        kohya({"input_blocks.4.1.proj_in": (32, 32)}, "lora_unet_")
        | kohya({"text_model.encoder.layers.0.mlp.fc1": (3072, 768)}, "lora_te1_"),
    )
    model = read_base(write_tiny_sdxl(tmp_path / "model.safetensors"))
    report = inspect(source, model.base, weights=model)
    assert report.works
    assert [layer.relative is None for layer in report.layers] == [True, False]


def test_hundreds_of_misfits_are_told_in_a_few_lines(tmp_path: Path) -> None:
    modules = {
        f"up_blocks.3.attentions.{index}.transformer_blocks.0.attn2.to_{part}": (320, 768)
        for index in range(3) for part in "kv"
    }
    source = write(tmp_path / "lora.safetensors", kohya({**SD15, **modules}, "lora_unet_"))
    report = inspect(source, Base(family="flux1", table=table_of("flux1")))
    assert report.rule == "wrong-base"
    assert len(told(report)) < 2000


def test_an_odd_part_must_be_given_up_to_convert_the_rest(tmp_path: Path) -> None:
    source = write(
        tmp_path / "lora.safetensors",
        pairs({**{f"{BLOCK}attn2.to_k": (640, 2048)}, "no.such.module": (4, 4)}, prefix="unet."),
    )
    report = inspect(source)
    assert report.rule == "unread-names"
    assert "with lossy on" in report.remedy
    assert "no.such.module" in report.remedy
    reading = read(source)
    with pytest.raises(LoraFormatError, match=r"no\.such\.module"):
        convert(reading, ConvertSettings())
    conversion = convert(reading, ConvertSettings(lossy=True))
    assert len(conversion.left_out) == 1
