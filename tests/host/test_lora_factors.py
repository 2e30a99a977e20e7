"""Reading a LoRA file as the stock loader reads it, and knowing what cannot stand beside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_kiln.core.errors import LoraFormatError

Tensors = dict[str, torch.Tensor]
LINEAR = "middle_block.1.transformer_blocks.0.attn1.to_q"
CONV = "input_blocks.1.0.in_layers.2"
NORM = "middle_block.1.norm"


@pytest.fixture(scope="module")
def tiny(comfy: Path) -> Any:
    from lora_kiln.tests.host import tiny_sdxl

    return tiny_sdxl.make_model(), tiny_sdxl.make_clip()


def load(comfy: Path, tiny: Any, tensors: Tensors) -> Any:
    from lora_kiln.host.lora_factors import load_lora
    from lora_kiln.tests.host import tiny_sdxl

    return load_lora(tiny_sdxl.write_lora(comfy, "probe.safetensors", tensors), *tiny)


def weight_of(tiny: Any, path: str) -> torch.Tensor:
    weight: torch.Tensor = tiny[0].model.diffusion_model.get_submodule(path).weight
    return weight


def key(path: str, end: str) -> str:
    return f"lora_unet_{path.replace('.', '_')}.{end}"


def plain(tiny: Any, path: str, rank: int = 2) -> Tensors:
    weight = weight_of(tiny, path)
    return {
        key(path, "lora_down.weight"): torch.randn(rank, *weight.shape[1:]),
        key(path, "lora_up.weight"): torch.randn(
            weight.shape[0], rank, *([1] * (weight.ndim - 2))
        ),
        key(path, "alpha"): torch.tensor(1.0),
    }


def test_a_plain_file_is_read_whole(comfy: Path, tiny: Any) -> None:
    from lora_kiln.tests.host import tiny_sdxl

    tensors = tiny_sdxl.lora_tensors(tiny[0])
    lora = load(comfy, tiny, tensors)
    assert (lora.matched, lora.unmatched, lora.obstacle) == (len(tensors), (), "")
    assert len(lora.factors) == len(tensors) // 3
    assert not lora.touches_text
    assert lora.factors[CONV].down.ndim == 4
    assert lora.factors[LINEAR].scale == 0.5


def test_names_of_every_kind_lead_to_the_same_factors(comfy: Path, tiny: Any) -> None:
    """PEFT's with ComfyUI's prefix, and diffusers' names dotted and flat; without alpha."""
    own = plain(tiny, LINEAR)
    down, up, _ = own.values()
    dotted = f"diffusion_model.{LINEAR}"
    named = "mid_block.attentions.0.transformer_blocks.0.attn1"
    flat = f"lora_unet_{named}.to_q".replace(".", "_")
    for a, b in (
        (f"{dotted}.lora_A.weight", f"{dotted}.lora_B.weight"),
        (f"unet.{named}.processor.to_q_lora.down.weight",
         f"unet.{named}.processor.to_q_lora.up.weight"),
        (f"{flat}.lora_down.weight", f"{flat}.lora_up.weight"),
    ):
        lora = load(comfy, tiny, {a: down, b: up})
        assert (lora.matched, lora.unmatched, list(lora.factors)) == (2, (), [LINEAR]), a
        assert torch.equal(lora.factors[LINEAR].up, up)
        assert lora.factors[LINEAR].scale == 1.0


def test_keys_that_fit_nothing_are_named(comfy: Path, tiny: Any) -> None:
    odd = {"lora_unet_of_another_model.lora_up.weight": torch.zeros(2, 2)}
    lora = load(comfy, tiny, {**plain(tiny, LINEAR), **odd})
    assert lora.matched == 3
    assert lora.unmatched == ("lora_unet_of_another_model.lora_up.weight",)


def _dora(tiny: Any) -> Tensors:
    return {**plain(tiny, LINEAR), key(LINEAR, "dora_scale"): torch.ones(64, 1)}


def _tucker(tiny: Any) -> Tensors:
    inside, outside = weight_of(tiny, CONV).shape[1], weight_of(tiny, CONV).shape[0]
    return {
        key(CONV, "lora_down.weight"): torch.randn(2, inside, 1, 1),
        key(CONV, "lora_mid.weight"): torch.randn(2, 2, 3, 3),
        key(CONV, "lora_up.weight"): torch.randn(outside, 2, 1, 1),
    }


def _loha(tiny: Any) -> Tensors:
    outside, inside = weight_of(tiny, LINEAR).shape
    shapes = {"w1_a": (outside, 2), "w1_b": (2, inside), "w2_a": (outside, 2), "w2_b": (2, inside)}
    return {key(LINEAR, f"hada_{name}"): torch.randn(shape) for name, shape in shapes.items()}


def _lokr(tiny: Any) -> Tensors:
    outside, inside = weight_of(tiny, LINEAR).shape
    return {
        key(LINEAR, "lokr_w1"): torch.randn(4, 4),
        key(LINEAR, "lokr_w2"): torch.randn(outside // 4, inside // 4),
    }


def _difference(tiny: Any) -> Tensors:
    return {key(LINEAR, "diff"): torch.randn_like(weight_of(tiny, LINEAR).float())}


def _norm(tiny: Any) -> Tensors:
    return {key(NORM, "w_norm"): torch.randn_like(weight_of(tiny, NORM).float())}


def _reshaped(tiny: Any) -> Tensors:
    shape = torch.tensor(list(weight_of(tiny, LINEAR).shape))
    return {**plain(tiny, LINEAR), key(LINEAR, "reshape_weight"): shape}


def _misshapen(tiny: Any) -> Tensors:
    return {**plain(tiny, LINEAR), key(LINEAR, "lora_down.weight"): torch.randn(2, 7)}


def _large_up(tiny: Any) -> Tensors:
    own = plain(tiny, CONV)
    up = key(CONV, "lora_up.weight")
    return {**own, up: own[up].repeat(1, 1, 3, 3)}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_dora, "DoRA"), (_tucker, "Tucker"), (_loha, "loha"), (_lokr, "lokr"),
        (_difference, "plain difference"), (_norm, "plain difference"), (_reshaped, "shape"),
        (_misshapen, "shape"), (_large_up, "shape"),
    ],
)
def test_what_is_no_plain_lora_is_not_put_beside(
    comfy: Path, tiny: Any, make: Callable[[Any], Tensors], words: str
) -> None:
    """One such module is enough: the file is swept in exact mode."""
    lora = load(comfy, tiny, {**plain(tiny, CONV), **make(tiny)})
    assert words in lora.obstacle
    assert lora.factors == {}
    assert lora.matched > 0
    assert lora.unmatched == ()


@pytest.mark.parametrize("make", [_dora, _loha, _lokr])
def test_other_kinds_equal_stock_in_exact_mode(
    comfy: Path, tiny: Any, make: Callable[[Any], Tensors]
) -> None:
    from lora_kiln.host.cell_sampler import CellSampler
    from lora_kiln.host.lora_shelf import LoraShelf
    from lora_kiln.tests.host import stock_run, tiny_sdxl

    model, clip = tiny
    path = tiny_sdxl.write_lora(comfy, "probe.safetensors", make(tiny))
    each = [stock_run.settings(strength=0.5, cfg=cfg, seed=1) for cfg in (1.0, 5.0)]
    with torch.inference_mode():
        sampler = CellSampler(model, clip, LoraShelf(model, clip, {"": path}))
        drawn = sampler.draw_patched(stock_run.row_of_cells(*each), lambda step: None)
    for latent, own in zip(drawn, each, strict=True):
        stock = stock_run.draw_stock(model, clip, Path("probe.safetensors"), own)
        assert stock_run.difference(latent, stock[0]) <= 1e-4


def test_slices_of_a_weight_become_one_lora(comfy: Path) -> None:
    """Diffusers' names of Z-Image's fused qkv; another trainer may leave one of the three out."""
    from lora_kiln.host.lora_factors import load_lora
    from lora_kiln.tests.host import tiny_sdxl, tiny_zimage

    model, clip = tiny_zimage.make_model(), tiny_zimage.make_clip()
    path = "layers.0.attention.qkv"
    out, into = model.model.diffusion_model.get_submodule(path).weight.shape
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for part, rank in (("to_q", 2), ("to_v", 3)):
        name = f"diffusion_model.layers.0.attention.{part}"
        tensors[f"{name}.lora_A.weight"] = torch.randn(rank, into, generator=generator)
        tensors[f"{name}.lora_B.weight"] = torch.randn(out // 3, rank, generator=generator)
        tensors[f"{name}.alpha"] = torch.tensor(rank / 2)
    file = tiny_sdxl.write_lora(comfy, "sliced.safetensors", tensors)
    lora = load_lora(file, model, clip)
    assert (lora.obstacle, lora.unmatched, list(lora.factors)) == ("", (), [path])
    own = lora.factors[path]
    change = own.scale * own.up @ own.down
    for part, start in (("to_q", 0), ("to_v", 2 * out // 3)):
        name = f"diffusion_model.layers.0.attention.{part}"
        want = 0.5 * tensors[f"{name}.lora_B.weight"] @ tensors[f"{name}.lora_A.weight"]
        torch.testing.assert_close(change[start : start + out // 3], want)
    assert change[out // 3 : 2 * out // 3].abs().max() == 0


@pytest.mark.parametrize("name", ["a.pt", "a.bin", "a.ckpt", "a.pth"])
def test_pickle_files_are_refused_unread(comfy: Path, tiny: Any, name: str) -> None:
    from lora_kiln.host.lora_factors import load_lora

    path = comfy / "models" / "loras" / name
    path.write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(LoraFormatError, match="safetensors"):
        load_lora(path, *tiny)


def test_a_torn_file_and_one_for_another_model_are_told_apart(comfy: Path, tiny: Any) -> None:
    from lora_kiln.host.lora_factors import load_lora
    from lora_kiln.tests.host import tiny_sdxl

    whole = tiny_sdxl.write_lora(comfy, "whole.safetensors", plain(tiny, LINEAR))
    torn = whole.with_name("torn.safetensors")
    torn.write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(LoraFormatError, match="cannot be read"):
        load_lora(torn, *tiny)
    with pytest.raises(LoraFormatError, match="none of the 1 keys"):
        load(comfy, tiny, {"transformer.h.0.lora_A.weight": torch.zeros(2, 2)})
