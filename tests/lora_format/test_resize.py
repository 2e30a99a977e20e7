"""Resized LoRAs against decompositions of the whole change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lora_kiln.core.errors import ConfigError, LoraFormatError
from lora_kiln.lora_format.ir import Layer, Target
from lora_kiln.lora_format.low_rank import Limit, cut_matrix, cut_pair, leading_svd, needed
from lora_kiln.lora_format.ranks import parse_ranks
from lora_kiln.lora_format.read import Base
from lora_kiln.lora_format.resize import Resize, ResizeSettings, resize, resized_name
from lora_kiln.tests.lora_format.small_loras import (
    CONV,
    FEED,
    KEY,
    NORM,
    QKV,
    QUERY,
    SDXL,
    TEXT,
    Z_IMAGE,
    Changes,
    Maker,
    changes_of,
    largest_error,
    ranks_of,
    reading_of,
    saved_changes,
)


def resized(
    folder: Path, layers: list[Layer], base: Base = SDXL, **settings: object
) -> tuple[Resize, Changes, Changes]:
    """Resize a file; gives the outcome, its changes as written to disk, and those before."""
    reading = reading_of(folder / "source.safetensors", base, layers)
    outcome = resize(reading, ResizeSettings(**settings))  # type: ignore[arg-type]
    found = saved_changes(folder / "resized.safetensors", base, outcome.conversion)
    return outcome, found, changes_of(layers, base.table)


def best(whole: torch.Tensor, rank: int) -> float:
    """Share of the squared norm that the best approximation keeps."""
    values = torch.linalg.svdvals(whole).square()
    return float(values[:rank].sum() / values.sum())


def test_each_layer_is_the_best_of_its_rank(tmp_path: Path) -> None:
    make = Maker(SDXL, 1)
    layers = [
        make.lora(QUERY, 8), make.lora(CONV, 6), make.loha(FEED, 3), make.lokr(KEY, None),
        make.difference("time_embed.2"), make.lora(TEXT, 7, component="clip_l"),
    ]
    outcome, found, before = resized(tmp_path, layers, rank=4)
    assert set(ranks_of(outcome).values()) == {4}
    assert {m.module.partition(": ")[2]: m.old_rank for m in outcome.modules} == {
        QUERY: 8, CONV: 6, FEED: 3, KEY: None, "time_embed.2": None, TEXT: 7,
    }
    for module in outcome.modules:
        component, _, path = module.module.partition(": ")
        place = (component, path, "weight")
        share = best(before[place], 4)
        assert module.kept == pytest.approx(share, abs=1e-6)
        assert module.energy == pytest.approx(float(before[place].norm() ** 2), rel=1e-6)
        error = float((found[place] - before[place]).norm() / before[place].norm())
        assert 1 - error**2 == pytest.approx(share, abs=1e-6)
    assert {layer.algorithm for layer in outcome.conversion.lora.layers} == {"lora"}
    assert all(layer.alpha == 4 for layer in outcome.conversion.lora.layers)
    total = sum(float(change.norm() ** 2) for change in before.values())
    kept = sum(best(change, 4) * float(change.norm() ** 2) for change in before.values())
    assert outcome.kept == pytest.approx(kept / total, abs=1e-6)
    assert outcome.worst.kept == min(module.kept for module in outcome.modules)


def test_convolutions_keep_their_shape(tmp_path: Path) -> None:
    outcome, _, _ = resized(tmp_path, [Maker(SDXL).lora(CONV, 5)], rank=2)
    factors = outcome.conversion.lora.layers[0].factors
    assert tuple(factors["lora_down"].shape) == (2, 16, 3, 3)
    assert tuple(factors["lora_up"].shape) == (16, 2, 1, 1)


@pytest.mark.parametrize("energy", [0.5, 0.9, 0.99])
def test_energy_takes_as_few_ranks_as_do(tmp_path: Path, energy: float) -> None:
    layers = [Maker(SDXL, 2).lora(QUERY, 12), Maker(SDXL, 3).loha(FEED, 3)]
    outcome, _, before = resized(tmp_path, layers, rank=100, energy=energy)
    for module in outcome.modules:
        whole = before["unet", module.module.partition(": ")[2], "weight"]
        assert module.rank is not None
        assert module.kept >= energy - 1e-6
        assert module.rank == 1 or best(whole, module.rank - 1) < energy
    capped, _, _ = resized(tmp_path, layers, rank=2, energy=energy)
    assert set(ranks_of(capped).values()) == {2}


def test_layers_small_enough_stay_bit_for_bit(tmp_path: Path) -> None:
    make = Maker(SDXL, 1, torch.float16)
    layers = [make.lora(QUERY, 4, 1.5), make.norm(NORM), make.difference(CONV, bias=True)]
    outcome, found, before = resized(tmp_path, layers, rank=4)
    assert largest_error(found, before) == 0
    assert outcome.kept == 1
    assert outcome.old_bytes <= outcome.new_bytes < outcome.old_bytes + 8


def test_the_dtype_stays(tmp_path: Path) -> None:
    layers = [Maker(SDXL, 1, torch.bfloat16).lora(QUERY, 8)]
    outcome, found, before = resized(tmp_path, layers, rank=4)
    assert outcome.conversion.lora.layers[0].factors["lora_up"].dtype == torch.bfloat16
    # What is told is measured after rounding.
    place = ("unet", QUERY, "weight")
    error = float((found[place] - before[place]).norm() / before[place].norm())
    assert outcome.modules[0].kept == pytest.approx(1 - error**2, abs=1e-9)
    wider, _, _ = resized(tmp_path, layers, rank=4, dtype="fp32")
    assert wider.conversion.lora.layers[0].factors["lora_up"].dtype == torch.float32


def test_blocks_have_ranks_of_their_own(tmp_path: Path) -> None:
    make = Maker(SDXL, 1)
    layers = [make.lora(path, 8) for path in (QUERY, KEY, FEED, CONV)]
    blocks = "attn1.to_q=2\ninput_blocks*ff=5; unet.input_blocks.1.=3"
    outcome, _, _ = resized(tmp_path, layers, rank=4, blocks=blocks)
    assert ranks_of(outcome) == {QUERY: 2, KEY: 4, FEED: 5, CONV: 3}


@pytest.mark.parametrize("blocks", ["attn", "attn=", "=4", "attn=0", "a=9999", "a=²", "a=4 b"])
def test_wrong_lists_of_ranks_are_told(blocks: str) -> None:
    with pytest.raises(ConfigError, match="has the entry"):
        ResizeSettings(blocks=blocks)


def test_patterns_take_linear_time() -> None:
    ranks_of = parse_ranks("*".join(["a"] * 1000) + "=4")
    assert ranks_of.rank(Target("unet", "a" * 500)) is None
    assert parse_ranks("a*c=4").rank(Target("unet", "a.b.c")) == 4
    assert parse_ranks("c*a=4").rank(Target("unet", "a.b.c")) is None
    assert parse_ranks(" ; \n").rank(Target("unet", "a")) is None


def test_parts_of_fused_modules_stay_parts(tmp_path: Path) -> None:
    make = Maker(Z_IMAGE, 1)
    rows = [(0, 24), (24, 48), (48, 72)]
    layers = [make.lora(QKV, 6, rows=part) for part in rows]
    outcome, found, before = resized(tmp_path, layers, Z_IMAGE, rank=2)
    assert {layer.target.rows for layer in outcome.conversion.lora.layers} == set(rows)
    for start, stop in rows:
        part = before["unet", QKV, "weight"][start:stop]
        error = float((found["unet", QKV, "weight"][start:stop] - part).norm() / part.norm())
        assert 1 - error**2 == pytest.approx(best(part, 2), abs=1e-6)


def test_dora_keeps_its_magnitudes(tmp_path: Path) -> None:
    layer = Maker(SDXL, 1).lora(QUERY, 8)
    scale = torch.rand(1, layer.factors["lora_down"].shape[1]) + 1
    outcome, _, _ = resized(tmp_path, [replace(layer, dora_scale=scale)], rank=3)
    made = outcome.conversion.lora.layers[0]
    assert made.dora_scale is not None
    assert torch.equal(made.dora_scale, scale)
    assert made.factors["lora_down"].shape[0] == 3


def test_dora_that_comfyui_applies_wrongly_needs_the_base_model(tmp_path: Path) -> None:
    """It divides by the norm of W instead of W + ΔW where magnitudes are over outputs."""
    layer = Maker(SDXL, 1).lora(FEED, 8)
    scale = torch.rand(layer.factors["lora_up"].shape[0], 1) + 1
    reading = reading_of(
        tmp_path / "dora.safetensors", SDXL, [replace(layer, dora_scale=scale)]
    )
    with pytest.raises(LoraFormatError, match=r"dora.safetensors, .* over outputs, whose change"):
        resize(reading, ResizeSettings(rank=4))

    class Weights:
        def weight(self, target: Target) -> torch.Tensor:
            return Maker(SDXL, 9).random(*SDXL.table.shape(target))

    outcome = resize(reading, ResizeSettings(rank=4), Weights())
    weight = Weights().weight(layer.target).double()
    turned = weight + changes_of([layer], SDXL.table)["unet", FEED, "weight"]
    whole = turned / turned.norm(dim=1, keepdim=True) * scale - weight
    (module,) = outcome.modules
    assert (module.rank, outcome.conversion.lora.layers[0].dora_scale) == (4, None)
    assert module.kept == pytest.approx(best(whole, 4), abs=1e-6)


def test_rotations_need_the_base_model(tmp_path: Path) -> None:
    blocks = Maker(SDXL).random(4, 8, 8) * 0.01
    layer = Layer(target=Target("unet", QUERY), algorithm="oft", factors={"oft_blocks": blocks},
                  alpha=0.0)
    layers = [layer, Maker(SDXL).lora(FEED, 8)]
    reading = reading_of(tmp_path / "oft.safetensors", SDXL, layers)
    with pytest.raises(LoraFormatError, match=r"is OFT.*cannot be resized by itself"):
        resize(reading, ResizeSettings(rank=2))
    outcome = resize(reading, ResizeSettings(rank=2, lossy=True))
    assert outcome.conversion.left_out == (f"unet: {QUERY} is OFT",)


def test_tucker_cores_become_plain(tmp_path: Path) -> None:
    """LoCon with a core of the kernel: ΔW[o, i, k] = Σ up[o, a] mid[a, b, k] down[b, i]."""
    make = Maker(SDXL, 1)
    up, mid, down = make.random(16, 5, 1, 1), make.random(5, 5, 3, 3), make.random(5, 16, 1, 1)
    layer = Layer(
        target=Target("unet", CONV), algorithm="lora", alpha=2.0,
        factors={"lora_up": up, "lora_mid": mid, "lora_down": down},
    )
    reading = reading_of(tmp_path / "locon.safetensors", SDXL, [layer])
    outcome = resize(reading, ResizeSettings(rank=4))
    whole = 0.4 * torch.einsum(
        "oa,abk,bi->oik", up[..., 0, 0].double(), mid.flatten(2).double(), down[..., 0, 0].double()
    ).flatten(1)
    assert outcome.modules[0].kept == pytest.approx(best(whole, 4), abs=1e-6)
    assert "lora_mid" not in outcome.conversion.lora.layers[0].factors


def test_names_say_what_was_kept() -> None:
    path = Path("x/my.style.safetensors")
    assert resized_name(path, ResizeSettings(rank=8)) == "my.style_rank8.safetensors"
    assert resized_name(path, ResizeSettings(energy=0.95)) == "my.style_energy95.safetensors"


def test_the_header_tells_ranks_of_now(tmp_path: Path) -> None:
    layers = [Maker(SDXL, 1).lora(QUERY, 8)]
    told = {"ss_network_dim": "8", "ss_network_alpha": "2", "ss_network_args": "{}", "ss_tag": "x"}
    reading = reading_of(tmp_path / "a.safetensors", SDXL, layers, told)
    metadata = resize(reading, ResizeSettings(rank=4)).conversion.metadata
    assert (metadata["ss_network_dim"], metadata["ss_network_alpha"]) == ("4", "4")
    assert metadata["ss_tag"] == "x"
    assert "ss_network_args" not in metadata
    assert '"rank": 4' in metadata["kiln_resize"]
    assert '"name": "a.safetensors"' in metadata["kiln_resized_from"]


def spectrum(rows: int, columns: int, values: torch.Tensor) -> torch.Tensor:
    """A matrix with these singular values."""
    chance = torch.Generator().manual_seed(0)
    left = torch.linalg.qr(torch.randn(rows, len(values), generator=chance)).Q
    right = torch.linalg.qr(torch.randn(columns, len(values), generator=chance)).Q
    return left * values @ right.T


def test_large_matrices_by_a_random_subspace() -> None:
    values = torch.arange(1, 601, dtype=torch.float32) ** -0.5
    matrix = spectrum(600, 900, values)
    left, found, right = leading_svd(matrix, 12, seed=1)
    assert torch.allclose(found, values[:12], rtol=1e-3)
    assert torch.equal(left, leading_svd(matrix, 12, seed=1)[0])
    error = float((matrix - left * found @ right).norm() ** 2)
    assert error == pytest.approx(float(values[12:].square().sum()), rel=1e-3)
    up, down = cut_matrix(matrix, Limit(12))
    assert (up.shape, down.shape) == ((600, 12), (12, 900))
    assert float((matrix - up @ down).norm() ** 2) == pytest.approx(error, rel=1e-3)


def test_rounding_errors_are_no_ranks() -> None:
    values = torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64)
    matrix = spectrum(30, 40, values.to(torch.float32)).to(torch.float64)
    up, down = cut_matrix(matrix.to(torch.float32), Limit(16))
    assert up.shape[1] == 3
    wide = cut_pair(torch.cat([up, up], 1).double(), torch.cat([down, down]).double(), Limit(16))
    assert wide[0].shape[1] == 3
    assert needed(torch.zeros(5, dtype=torch.float64), Limit(4, 0.5), 0.0, 5) == 1
