"""Everything that decides a cell's picture changes its key, and nothing else does."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lora_kiln.sweep.cell_settings import CellSettings

BASE = CellSettings(
    lora="a.safetensors", strength=1.0, clip_strength=0.5, blocks="not mid", prompt="a boat",
    negative="blue",
)
OTHERS: dict[str, Any] = {
    "strength": 0.9, "clip_strength": 0.4, "blocks": "only mid", "cfg": 5.5, "seed": 1,
    "steps": 21, "sampler": "heun", "scheduler": "karras", "prompt": "a ship", "negative": "red",
    "width_px": 512, "height_px": 512,
}


@pytest.fixture(scope="module")
def wires(comfy: Path) -> dict[str, Any]:
    from lora_kiln.host import demo_model
    from lora_kiln.tests.host import tiny_sdxl

    with torch.inference_mode():
        vae = demo_model._make_vae()
    return {"model": tiny_sdxl.make_model(), "clip": tiny_sdxl.make_clip(), "vae": vae}


def identity_of(wires: dict[str, Any], files: dict[str, Path]) -> Any:
    from lora_kiln.host.cell_identity import CellIdentity
    from lora_kiln.host.lora_shelf import LoraShelf

    shelf = LoraShelf(wires["model"], wires["clip"], files)
    return CellIdentity(wires["model"], wires["clip"], wires["vae"], shelf)


@pytest.fixture
def loras(wires: dict[str, Any], tmp_path: Path) -> dict[str, Path]:
    """Two LoRAs, and the first once more under another name."""
    from lora_kiln.tests.host import tiny_sdxl

    files = {}
    for name, seed in (("a", 0), ("b", 1), ("copy", 0)):
        files[f"{name}.safetensors"] = tmp_path / f"{name}.safetensors"
        tensors = tiny_sdxl.lora_tensors(wires["model"], rank=2, seed=seed)
        save_file({k: v.contiguous() for k, v in tensors.items()}, files[f"{name}.safetensors"])
    return files


def test_every_setting_counts(wires: dict[str, Any], loras: dict[str, Path]) -> None:
    identity = identity_of(wires, loras)
    assert {item.name for item in fields(CellSettings)} == {*OTHERS, "lora"}
    changed = [replace(BASE, **{name: value}) for name, value in OTHERS.items()]
    changed.append(replace(BASE, lora="b.safetensors"))
    keys = {identity.key(own, "batched") for own in (BASE, *changed)}
    keys.add(identity.key(BASE, "patched"))
    assert len(keys) == len(changed) + 2
    assert identity.reasons == ()


def test_a_loras_content_counts_and_not_its_name(
    wires: dict[str, Any], loras: dict[str, Path]
) -> None:
    identity = identity_of(wires, loras)
    copied = replace(BASE, lora="copy.safetensors")
    assert identity.key(copied, "batched") == identity.key(BASE, "batched")
    alone = BASE.without_lora()
    assert identity.key(alone, "batched") == identity_of(wires, {}).key(alone, "batched")


def test_what_is_wired_counts(wires: dict[str, Any], loras: dict[str, Path]) -> None:
    from comfy_extras.nodes_model_advanced import RescaleCFG

    layered = wires["clip"].clone()
    layered.clip_layer(-2)
    others = [
        {**wires, "model": RescaleCFG().patch(wires["model"], 0.7)[0]},
        {**wires, "model": RescaleCFG().patch(wires["model"], 0.6)[0]},
        {**wires, "clip": layered},
    ]
    keys = {identity_of(own, loras).key(BASE, "batched") for own in (wires, *others)}
    assert len(keys) == 4


def test_an_embedding_in_a_prompt_counts_by_its_content(
    wires: dict[str, Any], loras: dict[str, Path], comfy: Path
) -> None:
    folder = comfy / "models" / "embeddings" / "mine"
    folder.mkdir(parents=True, exist_ok=True)
    named = replace(BASE, prompt="a boat, (embedding:kiln_word:1.2)")
    keys = {identity_of(wires, loras).key(named, "batched")}
    for value in (1.0, 2.0):
        save_file({"clip_l": torch.full((1, 8), value)}, folder / "kiln_word.safetensors")
        keys.add(identity_of(wires, loras).key(named, "batched"))
        other = identity_of(wires, loras).key(BASE, "batched")
        assert other == identity_of(wires, loras).key(BASE, "batched")
    assert len(keys) == 3
    (folder / "kiln_word.safetensors").unlink()


def test_what_cannot_be_recognised_is_told(wires: dict[str, Any], loras: dict[str, Path]) -> None:
    odd = wires["model"].clone()
    odd.model_options["odd"] = object()
    identity = identity_of({**wires, "model": odd}, loras)
    assert any("odd" in reason for reason in identity.reasons)


def test_hooks_and_command_line_flags_count(
    wires: dict[str, Any], loras: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import comfy.cli_args
    import comfy.hooks

    hooked = wires["clip"].clone()
    hooked.patcher.forced_hooks = comfy.hooks.HookGroup()
    plain = identity_of(wires, loras).key(BASE, "batched")
    with_hooks = identity_of({**wires, "clip": hooked}, loras)
    assert with_hooks.key(BASE, "batched") != plain
    assert with_hooks.reasons
    assert identity_of(wires, loras).key(BASE, "batched") == plain
    monkeypatch.setattr(comfy.cli_args.args, "force_upcast_attention", True)
    assert identity_of(wires, loras).key(BASE, "batched") != plain
