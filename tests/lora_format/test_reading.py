"""Files that are easily read as something else than they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from lora_kiln.core.errors import LoraFormatError
from lora_kiln.lora_format.algorithm import algorithm_of
from lora_kiln.lora_format.bake import total_change
from lora_kiln.lora_format.base import family_of_shapes, read_base
from lora_kiln.lora_format.convert import ConvertSettings, convert
from lora_kiln.lora_format.family import components, families, host_prefix, table_of
from lora_kiln.lora_format.finding import ERROR, NOTE
from lora_kiln.lora_format.foreign import fold_alpha
from lora_kiln.lora_format.format import prefixes
from lora_kiln.lora_format.fuse import fuse_parts
from lora_kiln.lora_format.inspect import Report, inspect
from lora_kiln.lora_format.ir import Layer, Target
from lora_kiln.lora_format.read import Base, read
from lora_kiln.lora_format.resolve import targets_of
from lora_kiln.lora_format.stock_names import stock_names
from lora_kiln.tests.lora_format.failure_rows import CLIP, OWN, PROJ, Z_IMAGE
from lora_kiln.tests.lora_format.small_files import Tensors, dotted, kohya, pairs, write
from lora_kiln.tests.lora_format.small_loras import (
    CONV,
    FEED,
    SDXL,
    Maker,
    changes_of,
    largest_error,
)
from lora_kiln.tests.lora_format.small_loras import Z_IMAGE as SMALL_Z_IMAGE

ROTATION = torch.full((64, 10, 10), 0.01).triu()
"""Its Q has a norm of 0.76."""
NAN = float("nan")


def looked_at(folder: Path, tensors: Tensors, base: str = "") -> Report:
    model = Base(family=base, table=table_of(base)) if base else None
    return inspect(write(folder / "lora.safetensors", tensors), model)


def with_module(**factors: torch.Tensor) -> Tensors:
    """A sound file, one of whose modules has these factors."""
    found = {key: tensor for key, tensor in kohya(OWN, "lora_unet_").items() if PROJ not in key}
    return found | {f"{PROJ}.{name}": tensor for name, tensor in factors.items()}


@pytest.mark.parametrize("family", families())
def test_what_the_stock_loader_reads_is_read_the_same_here(family: str) -> None:
    table = table_of(family)
    for name, target in stock_names(families()[family], table).items():
        assert target in targets_of(name, table), name


def test_a_new_family_needs_no_prefix_elsewhere() -> None:
    known = {(prefix.text, prefix.component) for prefix in prefixes()}
    assert {(host_prefix(component), component) for component in components()} <= known


@pytest.mark.parametrize("before", ["", "unet.", "transformer."])
@pytest.mark.parametrize("times", [1, 2])
def test_pefts_prefix_is_taken_off_wherever_it_stands(before: str, times: int) -> None:
    stem = f"{before}{'base_model.model.' * times}mid_block.attentions.0.proj_in"
    assert targets_of(stem, table_of("sdxl")) == [Target("unet", "middle_block.1.proj_in")]


@pytest.mark.parametrize(
    ("stem", "component"),
    [
        ("lora_te1.text_model.final_layer_norm", "clip_l"),
        ("lora_te2.text_model.final_layer_norm", "clip_g"),
        ("text_encoder.base_model.model.text_model.final_layer_norm", "clip_l"),
        ("text_encoder_2.base_model.model.text_model.final_layer_norm", "clip_g"),
    ],
)
def test_numbered_text_encoders(stem: str, component: str) -> None:
    found = targets_of(stem, table_of("sdxl"))
    assert found == [Target(component, "text_model.final_layer_norm")]


def test_there_is_no_text_encoder_number_nought() -> None:
    assert not targets_of("lora_te0.text_model.final_layer_norm", table_of("sdxl"))


def test_one_broken_layer_makes_it_no_file_for_another_model(tmp_path: Path) -> None:
    """Flux.1 has the same CLIP-L, and nothing else of it."""
    tensors = kohya({**OWN, "input_blocks.5.1.proj_in": (640, 640)}, "lora_unet_")
    tensors |= kohya({f"{CLIP}mlp.fc1": (3072, 768)}, "lora_te1_")
    tensors[f"{PROJ}.lora_up.weight"] = torch.ones(641, 2)
    report = looked_at(tmp_path, tensors)
    assert report.rule == "unknown-model"
    assert "nearest to SDXL" in report.verdict and "641" in report.verdict


@pytest.mark.parametrize("base", ["", "sdxl"])
def test_a_file_of_halves_is_broken_and_not_unknown(base: str, tmp_path: Path) -> None:
    tensors = {key: value for key, value in kohya(OWN, "lora_unet_").items() if "down" not in key}
    report = looked_at(tmp_path, tensors, base)
    assert report.rule == "orphan-factor"


@pytest.mark.parametrize(
    "broken", [{"alpha": torch.tensor(NAN)}, {"alpha": torch.tensor(float("inf"))},
               {"dora_scale": torch.full((1, 640), NAN)}],
    ids=["alpha", "infinite alpha", "magnitudes"],
)
def test_all_values_must_be_numbers(broken: Tensors, tmp_path: Path) -> None:
    module = {"lora_down.weight": torch.ones(2, 640), "lora_up.weight": torch.ones(640, 2)}
    report = looked_at(tmp_path, with_module(**module, **broken))
    assert report.rule == "not-a-number"
    json.dumps(report.as_json(), allow_nan=False)


@pytest.mark.parametrize("shape", [(9, 64, 10, 10), (2, 640, 1, 1), (1, 128, 5, 5)])
def test_rotations_that_no_butterfly_has(shape: tuple[int, ...], tmp_path: Path) -> None:
    report = looked_at(tmp_path, with_module(oft_blocks=torch.full(shape, 0.01).triu()))
    assert report.rule == "factors-do-not-fit"
    assert "no butterfly of 640 outputs" in report.verdict


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_butterfly_that_is_let_through_turns_a_weight(count: int) -> None:
    layer = Layer(
        target=Target("unet", "any"), algorithm="boft", alpha=0.0,
        factors={"oft_blocks": torch.full((count, 64, 10, 10), 0.01).triu()},
    )
    weight = torch.eye(640)
    assert algorithm_of(layer).shape(layer) == (640, -1)
    turned = weight + total_change(layer, weight)
    assert torch.allclose(turned @ turned.T, torch.eye(640, dtype=torch.float64), atol=1e-9)


def test_a_norm_is_no_matrix(tmp_path: Path) -> None:
    assert looked_at(tmp_path, with_module(w_norm=torch.ones(640)), "sdxl").rule == "wrong-widths"


def test_a_weight_is_changed_once(tmp_path: Path) -> None:
    """ComfyUI applies the last of the algorithms that it finds for a module."""
    tensors = kohya(OWN, "lora_unet_") | {
        f"{PROJ}.diff": torch.ones(640, 640), f"{PROJ}.diff_b": torch.ones(640),
    }
    report = looked_at(tmp_path, tensors)
    assert report.rule == "two-changes"
    assert "full difference and LoRA" in report.verdict
    assert [layer.algorithm for layer in report.layers if layer.module.endswith("4.1.proj_in")] == [
        "bias difference", "full difference",
    ]


@pytest.mark.parametrize(
    ("name", "alpha", "level"),
    [
        (PROJ, 1e-3, ERROR), (PROJ, 0.9, NOTE), (PROJ, 0.0, None),
        ("diffusion_model.input_blocks.4.1.proj_in", 0.1, NOTE),
    ],
    ids=["a share, by LyCORIS", "above what it needs", "none", "the limit, by ComfyUI"],
)
def test_alpha_of_rotations_is_told_to_be_a_limit(
    name: str, alpha: float, level: str | None, tmp_path: Path
) -> None:
    tensors = kohya(dict([*OWN.items()][1:]), "lora_unet_") | {
        f"{name}.oft_blocks": ROTATION, f"{name}.alpha": torch.tensor(alpha),
    }
    report = looked_at(tmp_path, tensors)
    found = [finding for finding in report.findings if finding.rule == "oft-limit"]
    assert [finding.level for finding in found] == ([level] if level else [])
    assert all("no scale" in finding.text for finding in found)
    assert report.works is (level != ERROR)
    conversion = convert(read(Path(report.path)), ConvertSettings())
    again = looked_at(tmp_path / "new", conversion.written.tensors)
    assert again.rule == "in-order"
    assert not any(finding.rule == "oft-limit" for finding in again.findings)


def test_settings_of_another_file_in_the_folder_are_not_its_own(tmp_path: Path) -> None:
    """A folder of many LoRAs may hold one of PEFT's with its settings beside it."""
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 16}
    for prefix, alpha in (("diffusion_model.", 4), ("base_model.model.", 16)):
        tensors = pairs(Z_IMAGE, prefix=prefix, rank=4)
        reading = read(write(tmp_path / "lora.safetensors", tensors, beside=settings))
        assert {layer.alpha for layer in reading.lora.layers} == {alpha}


@pytest.mark.parametrize(
    ("parts", "family"),
    [(("clip_l",), "sd15"), (("clip_l", "clip_g"), "sdxl"), (("clip_l", "t5"), "flux1")],
)
def test_words_alone_tell_their_model(parts: tuple[str, ...], family: str, tmp_path: Path) -> None:
    tensors = {part: torch.ones(2, 768) for part in parts}
    assert read(write(tmp_path / "word.safetensors", tensors)).lora.family == family


def test_fused_layers_of_four_parts_at_a_quarter_of_their_strength(tmp_path: Path) -> None:
    fused = "lora_unet_single_blocks_0_linear1"
    parts = [torch.full((rows, 2), 0.1) for rows in (3072, 3072, 3072, 12288)]
    tensors = kohya({"double_blocks.0.img_attn.proj": (3072, 3072)}, "lora_unet_") | {
        f"{fused}.lora_down.weight": torch.ones(8, 3072),
        f"{fused}.lora_up.weight": torch.block_diag(*parts),
        f"{fused}.alpha": torch.tensor(2.0),
    }
    report = looked_at(tmp_path, tensors)
    assert report.rule == "tripled-rank"
    assert "1 fused layer at 1/4 of the strength" in report.verdict


def test_flat_factors_of_convolutions_become_what_diffusers_wants(tmp_path: Path) -> None:
    """ComfyUI's trainer writes them as matrices."""
    shapes = {"input_blocks.1.0.in_layers.2": (320, 2880), **OWN}
    reading = read(write(tmp_path / "lora.safetensors", dotted(shapes, "diffusion_model.")))
    tensors = convert(reading, ConvertSettings(to="diffusers")).written.tensors
    name = "unet.down_blocks.0.resnets.0.conv1"
    assert tensors[f"{name}.lora_A.weight"].shape == (2, 320, 3, 3)
    assert tensors[f"{name}.lora_B.weight"].shape == (320, 2, 1, 1)


def test_every_scale_can_be_folded() -> None:
    make = Maker(SDXL)
    layers = [make.lora(CONV), make.loha(FEED), make.lokr(FEED)]
    for layer, folded in zip(layers, fold_alpha(layers), strict=True):
        assert algorithm_of(layer).scale(layer) != 1 == algorithm_of(folded).scale(folded)
        found, wanted = (changes_of([item], SDXL.table) for item in (folded, layer))
        assert largest_error(found, wanted) < 1e-6


@pytest.mark.parametrize("name", ["lora", "difference"])
def test_parts_of_different_precision_fuse_without_rounding(name: str) -> None:
    path, table = "layers.0.attention.qkv", SMALL_Z_IMAGE.table
    coarse, fine = (Maker(SMALL_Z_IMAGE, dtype=dtype) for dtype in (torch.float16, torch.float32))
    if name == "lora":
        parts = [coarse.lora(path, alpha=3.0, rows=(0, 24)), fine.lora(path, rows=(24, 48))]
    else:
        parts = [
            Layer(target=Target("unet", path, rows), algorithm="diff",
                  factors={"diff": make.random(24, 24)})
            for make, rows in ((coarse, (0, 24)), (fine, (24, 48)))
        ]
    (whole,) = fuse_parts(parts, table)
    place = ("unet", path, "weight")
    found, wanted = changes_of([whole], table)[place], changes_of(parts, table)[place]
    assert torch.allclose(found, wanted, rtol=1e-6, atol=1e-6)


def test_a_file_without_a_network_is_no_base_model(tmp_path: Path) -> None:
    for key in ("a.weight", "model.diffusion_model.a.weight"):
        with pytest.raises(LoraFormatError, match="no model of a known family"):
            read_base(write(tmp_path / "model.safetensors", {key: torch.ones(2, 2)}))
    with pytest.raises(LoraFormatError, match="no model of a known family"):
        family_of_shapes({}, "it")
