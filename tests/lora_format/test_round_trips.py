"""What a writer makes is what its reader finds: ``read(write(x)) == x``, for every writer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lora_kiln.core import atomic
from lora_kiln.core.errors import LoraFormatError
from lora_kiln.lora_format.algorithm import algorithm_of
from lora_kiln.lora_format.algorithms.lokr import without_core
from lora_kiln.lora_format.dtypes import limit_of
from lora_kiln.lora_format.family import table_of
from lora_kiln.lora_format.foreign import fold_alpha
from lora_kiln.lora_format.format import Written, formats_of, writer
from lora_kiln.lora_format.ir import NETWORK, Layer, LoraFile, Target, lora_layer
from lora_kiln.lora_format.proof import prove, same
from lora_kiln.lora_format.published import publish
from lora_kiln.lora_format.read import Base, read, read_written
from lora_kiln.lora_format.table import ModuleTable
from lora_kiln.tests.lora_format import strategies
from lora_kiln.tests.lora_format.strategies import BASES, PLAIN, loras

FAMILIES = tuple(BASES)
SOME = settings(
    max_examples=50, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("family", FAMILIES)
@SOME
@given(data=st.data())
def test_kohya(family: str, data: st.DataObject, tmp_path: Path) -> None:
    """Every algorithm; only biases of parts are fused."""
    kinds = data.draw(st.sampled_from(FUSABLE)) if family == "lumina2" else ()
    lora = data.draw(loras(family, kinds))
    back = round_trip(lora, "kohya", tmp_path)
    if family == "lumina2":
        assert_same_changes(lora, back)
        return
    fused = {
        layer.target.module_path for layer in lora.layers
        if layer.algorithm == "bias" and layer.target.rows
    }
    # The stock loader breaks off at LoKr with a core; the writer multiplies it in.
    wanted = replace(lora, layers=tuple(map(without_core, lora.layers)))
    assert_equal(_rest(wanted, fused), _rest(back, fused))
    assert_same_changes(_biases(lora, fused), _biases(back, fused))


def _biases(lora: LoraFile, modules: set[str]) -> LoraFile:
    return replace(lora, layers=tuple(
        layer for layer in lora.layers
        if layer.algorithm == "bias" and layer.target.module_path in modules
    ))


def _rest(lora: LoraFile, modules: set[str]) -> LoraFile:
    return replace(lora, layers=tuple(
        layer for layer in lora.layers
        if layer.algorithm != "bias" or layer.target.module_path not in modules
    ))


FUSABLE = (("lora", "norm"), ("lora", "bias"), ("diff", "bias"))
"""For Lumina 2, of which the loader reads fused modules only: what can be fused together."""


def _is_part_of_bias(layer: Layer) -> bool:
    return layer.algorithm == "bias" and layer.target.rows is not None


@pytest.mark.parametrize("family", FAMILIES)
@SOME
@given(data=st.data())
def test_diffusers(family: str, data: st.DataObject, tmp_path: Path) -> None:
    """Fused modules come apart; all others are the same."""
    lora = _with_diffusers_names(data.draw(loras(family, PLAIN)))
    back = round_trip(lora, "diffusers", tmp_path)
    assert_same_changes(lora, back)
    assert_equal(_not_fused(lora), _not_fused(back))


@pytest.mark.parametrize("family", FAMILIES)
@SOME
@given(data=st.data())
def test_peft(family: str, data: st.DataObject, tmp_path: Path) -> None:
    lora = _with_diffusers_names(data.draw(loras(family, PLAIN, (NETWORK,))))
    back = round_trip(lora, "peft", tmp_path)
    assert_same_changes(lora, back)
    assert_equal(_not_fused(lora), _not_fused(back))


@pytest.mark.parametrize("family", FAMILIES)
@SOME
@given(data=st.data())
def test_folded_alpha(family: str, data: st.DataObject, tmp_path: Path) -> None:
    """Readers that look for no alpha find the right strength all the same."""
    lora = _with_diffusers_names(data.draw(loras(family, PLAIN)))
    folded = replace(lora, layers=fold_alpha(lora.layers))
    for layer in folded.layers:
        assert algorithm_of(layer).scale(layer) == 1
    written = writer("diffusers")(folded, BASES[family].table)
    back = read_written(replace(written, metadata={}), tmp_path / "x.safetensors", BASES[family])
    assert_same_changes(lora, back)


@SOME
@given(data=st.data())
def test_from_one_format_to_the_next(data: st.DataObject, tmp_path: Path) -> None:
    """Kohya to diffusers to PEFT to Kohya is the same LoRA."""
    family = data.draw(st.sampled_from(FAMILIES))
    lora = _with_diffusers_names(data.draw(loras(family, ("lora",), (NETWORK,))))
    back = lora
    for name in ("kohya", "diffusers", "peft", "kohya"):
        back = round_trip(back, name, tmp_path)
    assert_same_changes(lora, back)


def round_trip(lora: LoraFile, name: str, folder: Path) -> LoraFile:
    """Write a LoRA and read it back, in memory and by a file."""
    base = BASES[lora.family]
    written = writer(name)(lora, base.table)
    path = _saved(written, folder)
    back = read_written(written, path, base)
    reading = read(path, base)
    assert not reading.errors and not reading.lora.unknown
    assert_equal(back, reading.lora, exact_alpha=True)
    return back


def _saved(written: Written, folder: Path) -> Path:
    number = len(list(folder.iterdir()))
    path = publish(folder / f"{number}" / "x.safetensors", written.tensors, written.metadata)
    for name, value in written.beside.items():
        atomic.write_json(path.with_name(name), value)
    return path


def _not_fused(lora: LoraFile) -> LoraFile:
    table = BASES[lora.family].table
    return replace(lora, layers=tuple(
        layer for layer in lora.layers
        if not table[layer.target.component].parts(layer.target.module_path)
    ))


def _with_diffusers_names(lora: LoraFile) -> LoraFile:
    """Without Flux's last modulation, which diffusers stores with its halves swapped."""
    table = BASES[lora.family].table
    kept = tuple(
        layer for layer in lora.layers
        if layer.target.module_path != "final_layer.adaLN_modulation.1"
        or table[NETWORK].foreign(layer.target)
    )
    return replace(lora, layers=kept)


def assert_equal(one: LoraFile, two: LoraFile, *, exact_alpha: bool = False) -> None:
    """The same targets with the same algorithms, scales, and bit for bit the same factors."""
    left, right = by_target(one), by_target(two)
    assert left.keys() == right.keys()
    for place, layer in left.items():
        other = right[place]
        assert layer.factors.keys() == other.factors.keys(), place
        for name, factor in layer.factors.items():
            assert same(factor, other.factors[name]), (place, name)
        assert_alpha(layer, other, exact=exact_alpha)
        assert (layer.dora_scale is None) == (other.dora_scale is None), place
        if layer.dora_scale is not None and other.dora_scale is not None:
            assert same(layer.dora_scale, other.dora_scale), place


def by_target(lora: LoraFile) -> dict[tuple[Target, str], Layer]:
    found = {(layer.target, layer.algorithm): layer for layer in lora.layers}
    assert len(found) == len(lora.layers)
    return found


def assert_alpha(layer: Layer, other: Layer, *, exact: bool) -> None:
    """Alpha is the same number, in fp32 where it is a tensor; missing, it is the rank."""
    rank = algorithm_of(layer).rank(layer)
    alpha = rank if layer.alpha is None else layer.alpha
    back = rank if other.alpha is None else other.alpha
    if alpha is None or back is None:
        assert alpha is back
    elif exact:
        assert alpha == back
    else:
        assert float(torch.tensor(alpha)) == float(torch.tensor(back))


def assert_same_changes(one: LoraFile, two: LoraFile) -> None:
    """The same ΔW and magnitudes, whatever the layers are."""
    proof = prove(one, two, BASES[one.family].table)
    assert bool(proof.errors) == bool(one.layers or two.layers)
    assert proof.worst[1] <= limit_of((*one.layers, *two.layers)), proof.worst


# Whole published models: every name of each is read back, without being told the model.


@pytest.mark.parametrize("family", ["sdxl", "sd15", "z_image", "lumina2", "flux1"])
@pytest.mark.parametrize("name", ["kohya", "diffusers", "peft"])
def test_every_module_of_the_published_model(family: str, name: str, tmp_path: Path) -> None:
    table = table_of(family)
    lora = LoraFile(family=family, layers=tuple(_layers_everywhere(table, name)))
    written = writer(name)(lora, table)
    back = read_written(written, tmp_path / "x.safetensors", Base(family=family, table=table))
    assert back.family == family and not back.unknown
    fused = {
        layer.target.module_path for layer in lora.layers
        if name != "kohya" and table[layer.target.component].parts(layer.target.module_path)
    }
    wanted = {layer.target for layer in lora.layers if layer.target.module_path not in fused}
    assert wanted == {layer.target for layer in back.layers if not layer.target.rows}
    assert fused == {layer.target.module_path for layer in back.layers if layer.target.rows}
    assert [item.name for item in formats_of(written.tensors)]


def _layers_everywhere(table: ModuleTable, name: str) -> list[Layer]:
    """Rank 1 in every module with a matrix; one value each, so it takes no memory."""
    one = torch.ones((), dtype=torch.float16)
    found = []
    for component, network in table.networks.items():
        for path, shape in network.shapes.items():
            target = Target(component, path)
            foreign = network.foreign(target) or network.parts(path) or component != NETWORK
            if len(shape) < 2 or (name == "peft" and component != NETWORK):
                continue
            if name != "kohya" and not foreign:
                assert path == "final_layer.adaLN_modulation.1"
                continue
            ones = [1] * (len(shape) - 2)
            found.append(lora_layer(
                path, component=component, alpha=0.5,
                down=one.expand(1, *shape[1:]), up=one.expand(shape[0], 1, *ones),
            ))
    return found


# What a format has no place for is refused, not lost.


@pytest.mark.parametrize("name", ["diffusers", "peft"])
@pytest.mark.parametrize(
    "kind", [kind for kind in strategies.MAKERS if kind not in (*PLAIN, "norm")]
)
def test_what_diffusers_does_not_have(name: str, kind: str) -> None:
    @settings(max_examples=3, deadline=None)
    @given(lora=loras("sdxl", (kind,), (NETWORK,)))
    def check(lora: LoraFile) -> None:
        with pytest.raises(LoraFormatError, match=r"plain LoRA|magnitudes over outputs"):
            writer(name)(lora, BASES["sdxl"].table)

    check()


def test_settings_beside_a_peft_file_are_what_peft_expects(tmp_path: Path) -> None:
    layers = [
        lora_layer(path, down=torch.ones(rank, 16), up=torch.ones(16, rank), alpha=alpha)
        for path, rank, alpha in (
            ("input_blocks.4.1.proj_in", 2, 1.0), ("input_blocks.4.1.proj_out", 2, 1.0),
            ("input_blocks.5.1.proj_in", 3, 7.5),
        )
    ]
    written = writer("peft")(LoraFile(family="sdxl", layers=tuple(layers)), BASES["sdxl"].table)
    path = _saved(written, tmp_path)
    config = json.loads(path.with_name("adapter_config.json").read_text("utf-8"))
    assert config["r"] == 2 and config["lora_alpha"] == 1
    assert config["rank_pattern"] == {"down_blocks.1.attentions.1.proj_in": 3}
    assert config["alpha_pattern"] == {"down_blocks.1.attentions.1.proj_in": 7.5}
