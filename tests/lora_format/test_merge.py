"""Merged LoRAs against dense sums in float64."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lora_kiln.lora_format.edit_reports import merge_report
from lora_kiln.lora_format.family import table_of
from lora_kiln.lora_format.ir import Layer, lora_layer
from lora_kiln.lora_format.merge import Merge, MergeSettings, Source, merge
from lora_kiln.lora_format.read import Base, read
from lora_kiln.lora_format.save import Saved, save_conversion
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
    total,
    written,
)

EXACT = MergeSettings()


def merged(
    folder: Path, base: Base, files: list[tuple[list[Layer], float]],
    settings: MergeSettings = EXACT, formats: tuple[str, ...] = (),
) -> tuple[Merge, Changes, Changes]:
    """Merge files; gives the outcome, its changes as written to disk, and the dense sum."""
    names = (*formats, *["kohya"] * len(files))
    sources = [
        Source(reading=reading_of(folder / f"{i}.safetensors", base, layers, to=to), weight=weight)
        for i, ((layers, weight), to) in enumerate(zip(files, names, strict=False))
    ]
    outcome = merge(sources, settings)
    found = saved_changes(folder / "merged.safetensors", base, outcome.conversion)
    wanted = total(*(changes_of(layers, base.table, weight) for layers, weight in files))
    return outcome, found, wanted


def test_ranks_add_up_to_the_exact_sum(tmp_path: Path) -> None:
    one, two = Maker(SDXL, 1), Maker(SDXL, 2)
    files = [
        ([one.lora(QUERY, 3, 2.0), one.lora(CONV, 2), one.lora(TEXT, 2, component="clip_l")], 0.7),
        ([two.lora(QUERY, 5, 4.0), two.lora(CONV, 4, 1.0), two.lora(FEED, 1)], -1.3),
    ]
    outcome, found, wanted = merged(tmp_path, SDXL, files)
    assert largest_error(found, wanted) < 1e-6
    assert ranks_of(outcome) == {QUERY: 8, CONV: 6, TEXT: 2, FEED: 1}
    assert outcome.worst.error < 1e-6
    assert not outcome.conversion.left_out


def test_equal_scales_keep_every_bit(tmp_path: Path) -> None:
    """Half precision, weight 1 and one alpha over rank: nothing is rounded."""
    makers = [Maker(SDXL, seed, torch.float16) for seed in (1, 2)]
    files = [([maker.lora(QUERY, 4, 3.0)], 1.0) for maker in makers]
    outcome, found, wanted = merged(tmp_path, SDXL, files)
    assert largest_error(found, wanted) < 1e-15
    layer = outcome.conversion.lora.layers[0]
    assert layer.factors["lora_up"].dtype == torch.float16
    assert layer.alpha == 6.0
    assert torch.equal(layer.factors["lora_down"][:4], files[0][0][0].factors["lora_down"])


def test_other_weights_cost_one_rounding(tmp_path: Path) -> None:
    makers = [Maker(SDXL, seed, torch.bfloat16) for seed in (1, 2)]
    files = [([maker.lora(QUERY, 4, 3.0)], weight)
             for maker, weight in zip(makers, (0.3, 0.9), strict=True)]
    _, found, wanted = merged(tmp_path, SDXL, files)
    assert 1e-4 < largest_error(found, wanted) < 1e-2
    in_full = MergeSettings(dtype="fp32")
    _, found, wanted = merged(tmp_path, SDXL, files, in_full)
    assert largest_error(found, wanted) < 1e-6


def test_unequal_dtypes_meet_in_fp32(tmp_path: Path) -> None:
    halves = Maker(SDXL, 1, torch.float16), Maker(SDXL, 2, torch.bfloat16)
    outcome, found, wanted = merged(tmp_path, SDXL, [([m.lora(QUERY)], 1.0) for m in halves])
    assert outcome.conversion.lora.layers[0].factors["lora_up"].dtype == torch.float32
    assert largest_error(found, wanted) < 1e-6


def test_all_algorithms_in_one_sum(tmp_path: Path) -> None:
    one, two, three = (Maker(SDXL, seed) for seed in (1, 2, 3))
    files = [
        ([one.lora(FEED), one.loha(QUERY), one.lokr(KEY, None), one.lora(CONV)], 0.5),
        ([two.loha(FEED, 1), two.lora(QUERY), two.lora(KEY), two.loha(CONV, 1)], 2.0),
        ([three.lokr(FEED, 1), three.lora(QUERY), three.lokr(CONV, 1, split=2)], 1.0),
    ]
    outcome, found, wanted = merged(tmp_path, SDXL, files)
    assert largest_error(found, wanted) < 1e-6
    # LoHa of rank 2 is a product of inner size 4, LoKr of side 4 and rank 1 too; a LoKr of two
    # whole sides is no product.
    assert ranks_of(outcome) == {FEED: 3 + 1 + 4, QUERY: 4 + 3 + 3, KEY: None, CONV: 3 + 1 + 2}


def test_what_no_other_file_changes_stays_of_its_kind(tmp_path: Path) -> None:
    one, two = Maker(SDXL, 1), Maker(SDXL, 2)
    files = [([one.loha(QUERY), one.lokr(FEED, None)], 0.5), ([two.lora(KEY)], 1.0)]
    outcome, found, wanted = merged(tmp_path, SDXL, files)
    assert largest_error(found, wanted) < 1e-6
    kinds = {layer.target.module_path: layer.algorithm for layer in outcome.conversion.lora.layers}
    assert kinds == {QUERY: "loha", FEED: "lokr", KEY: "lora"}
    assert outcome.conversion.metadata["ss_network_module"] == "lycoris.kohya"
    report = merge_report(outcome, EXACT, Saved(None))
    assert report["ranks"] == "2 × 1, none × 1, 3 × 1"
    assert report["notes"] == [], "a LoKr of whole sides is no whole difference"


def test_differences_of_norms_and_biases_are_summed(tmp_path: Path) -> None:
    one, two = Maker(SDXL, 1), Maker(SDXL, 2)
    files = [
        ([one.norm(NORM), one.difference(QUERY), one.difference(CONV, bias=True)], 0.5),
        ([two.difference(NORM), two.difference(NORM, bias=True), two.lora(QUERY),
          two.difference(CONV, bias=True)], 2.0),
    ]
    outcome, found, wanted = merged(tmp_path, SDXL, files)
    assert largest_error(found, wanted) < 1e-6
    kinds = sorted(layer.algorithm for layer in outcome.conversion.lora.layers)
    assert kinds == ["bias", "bias", "diff", "diff"]


def test_formats_may_differ(tmp_path: Path) -> None:
    one, two, three = (Maker(SDXL, seed) for seed in (1, 2, 3))
    files = [([maker.lora(QUERY), maker.lora(FEED, 2)], 1.0) for maker in (one, two, three)]
    outcome, found, wanted = merged(
        tmp_path, SDXL, files, formats=("diffusers", "kohya", "peft")
    )
    assert largest_error(found, wanted) < 1e-6
    assert ranks_of(outcome) == {QUERY: 9, FEED: 6}


PARTS = {"q": (0, 24), "k": (24, 48), "v": (48, 72)}


def test_parts_meet_parts(tmp_path: Path) -> None:
    files = [
        ([Maker(Z_IMAGE, i).lora(QKV, 2, rows=PARTS[name]) for name in names], 0.5 + i)
        for i, names in enumerate(("qk", "kv"))
    ]
    outcome, found, wanted = merged(tmp_path, Z_IMAGE, files)
    assert largest_error(found, wanted) < 1e-6
    assert {layer.target.rows: layer.factors["lora_down"].shape[0]
            for layer in outcome.conversion.lora.layers} == {
        PARTS["q"]: 2, PARTS["k"]: 4, PARTS["v"]: 2,
    }


def test_parts_meet_the_whole(tmp_path: Path) -> None:
    one, two = Maker(Z_IMAGE, 1), Maker(Z_IMAGE, 2)
    parts = [one.lora(QKV, 2, alpha, rows=PARTS[name]) for name, alpha in (("q", 1.0), ("v", 5.0))]
    files = [(parts, 0.5), ([two.lora(QKV, 3)], 2.0)]
    outcome, found, wanted = merged(tmp_path, Z_IMAGE, files)
    assert largest_error(found, wanted) < 1e-6
    assert [layer.target.rows for layer in outcome.conversion.lora.layers] == [None]
    assert ranks_of(outcome) == {QKV: 7}


def test_svd_is_the_best_of_its_rank(tmp_path: Path) -> None:
    one, two = Maker(SDXL, 1), Maker(SDXL, 2)
    files = [
        ([one.lora(QUERY, 6), one.lora(CONV, 3), one.lokr(FEED, None), one.difference(NORM)], 0.7),
        ([two.lora(QUERY, 6), two.lora(CONV, 3), two.lora(KEY, 2)], 1.1),
    ]
    outcome, found, wanted = merged(tmp_path, SDXL, files, MergeSettings(method="svd", rank=4))
    assert ranks_of(outcome) == {QUERY: 4, CONV: 4, FEED: 4, NORM: None, KEY: 2}
    by_name = {module.module.partition(": ")[2]: module for module in outcome.modules}
    for path in (QUERY, CONV, FEED):
        whole = wanted["unet", path, "weight"]
        values = torch.linalg.svdvals(whole)
        best = values[4:].norm()
        assert (found["unet", path, "weight"] - whole).norm() == pytest.approx(best, rel=1e-5)
        kept = float(1 - (best / values.norm()) ** 2)
        assert by_name[path].kept == pytest.approx(kept, abs=1e-6)
    for path in (NORM, KEY):
        place = ("unet", path, "weight")
        assert largest_error({place: found[place]}, {place: wanted[place]}) < 1e-6


def test_text_encoders_have_weights_of_their_own(tmp_path: Path) -> None:
    one, two = Maker(SDXL, 1), Maker(SDXL, 2)
    layers = [[m.lora(QUERY), m.lora(TEXT, component="clip_l")] for m in (one, two)]
    readings = [reading_of(tmp_path / f"{i}.safetensors", SDXL, found)
                for i, found in enumerate(layers)]
    sources = [Source(reading=readings[0], weight=0.5, text_weight=2.0),
               Source(reading=readings[1], weight=3.0, text_weight=0.0)]
    found = changes_of(merge(sources, EXACT).conversion.lora.layers, SDXL.table)
    wanted = total(
        changes_of(layers[0][:1], SDXL.table, 0.5), changes_of(layers[0][1:], SDXL.table, 2.0),
        changes_of(layers[1][:1], SDXL.table, 3.0),
    )
    assert largest_error(found, wanted) < 1e-6


def test_one_minus_itself_is_zero(tmp_path: Path) -> None:
    layers = [Maker(SDXL, 1).lora(QUERY)]
    outcome, found, _ = merged(tmp_path, SDXL, [(layers, 1.0), (layers, -1.0)])
    assert found["unet", QUERY, "weight"].abs().max() < 1e-12
    assert outcome.worst.error < 1e-12


def test_the_header_says_what_went_in(tmp_path: Path) -> None:
    readings = [
        reading_of(tmp_path / f"{name}.safetensors", SDXL,
                   [Maker(SDXL, seed).lora(QUERY, 2 + seed)],
                   {"ss_tag": "same", "ss_epoch": name, "ss_network_dim": "99",
                    "sshs_model_hash": "old"})
        for seed, name in enumerate(("one", "two"))
    ]
    sources = [Source(reading=readings[0], weight=0.5), Source(reading=readings[1], text_weight=0)]
    saved = save_conversion(merge(sources, EXACT, title="both").conversion,
                            tmp_path / "both.safetensors")
    assert saved.path is not None
    metadata = dict(read(saved.path, SDXL).lora.metadata)
    assert metadata["ss_tag"] == "same"
    assert "ss_epoch" not in metadata
    assert metadata["ss_network_dim"] == "5"
    assert metadata["modelspec.merged_from"] == "one, two"
    assert metadata["sshs_model_hash"] != "old"
    parts = json.loads(metadata["kiln_merged_from"])
    assert [(part["name"], part["weight"], part["text_weight"]) for part in parts] == [
        ("one.safetensors", 0.5, 0.5), ("two.safetensors", 1.0, 0)
    ]
    assert all(len(part["sha256"]) == 64 for part in parts)


def test_bundled_words_come_along(tmp_path: Path) -> None:
    readings = []
    for name, value in (("one", 1.0), ("two", 2.0), ("more/two", 3.0)):
        (tmp_path / "more").mkdir(exist_ok=True)
        found = reading_of(tmp_path / f"{name}.safetensors", SDXL, [Maker(SDXL).lora(QUERY)])
        words = {
            "same": {"clip_l": torch.ones(1, 4)}, "mine": {"clip_l": torch.full((1, 4), value)},
        }
        readings.append(replace(found, lora=replace(found.lora, embeddings=words)))
    outcome = merge([Source(reading=reading) for reading in readings], EXACT)
    assert list(outcome.conversion.embeddings) == ["same", "mine", "mine_two", "mine_two_2"]


def test_published_sizes_without_a_base(tmp_path: Path) -> None:
    """Two SDXL files, the family found by itself, one kept in diffusers' names."""
    path, size = "middle_block.1.transformer_blocks.0.attn2.to_k", (1280, 2048)
    sources, wanted = [], torch.zeros(size, dtype=torch.float64)
    base = Base(family="sdxl", table=table_of("sdxl"))
    for index, to in enumerate(("kohya", "diffusers")):
        chance = torch.Generator().manual_seed(index)
        down = torch.randn(4, size[1], generator=chance)
        up = torch.randn(size[0], 4, generator=chance)
        file = written(
            tmp_path / f"{index}.safetensors", base,
            [lora_layer(path, down=down, up=up, alpha=2.0 + index)], to,
        )
        sources.append(Source(reading=read(file), weight=0.5))
        wanted += 0.5 * (2 + index) / 4 * up.double() @ down.double()
    (layer,) = merge(sources, EXACT).conversion.lora.layers
    place = ("unet", path, "weight")
    assert largest_error(changes_of([layer], base.table), {place: wanted}) < 1e-6
