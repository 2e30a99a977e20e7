"""Axis and sweep nodes: their schemas, and whole sweeps on a tiny model."""

from __future__ import annotations

import csv
import importlib
import io
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

from lora_kiln.core.errors import KilnError

ROOT = Path(__file__).resolve().parents[2]
SETTINGS: dict[str, Any] = {
    "prompt": "a star\nover the sea", "negative": "", "seed": 3, "steps": 3, "cfg": 4.0,
    "strength": 1.0, "sampler": "euler", "scheduler": "normal", "width_px": 64, "height_px": 64,
    "mode": "auto", "file_prefix": "test sweep",
}


@pytest.fixture(scope="module")
def wires(comfy: Path) -> dict[str, Any]:
    """MODEL, CLIP and VAE, with LoRA files in the stock loader's folder."""
    from lora_kiln.host import demo_model
    from lora_kiln.tests.host import tiny_sdxl

    with torch.inference_mode():
        model, clip, vae = tiny_sdxl.make_model(), tiny_sdxl.make_clip(), demo_model._make_vae()
    plain = tiny_sdxl.lora_tensors(model)
    tiny_sdxl.write_lora(comfy, "sweep_plain.safetensors", plain)
    one = "lora_unet_middle_block_1_transformer_blocks_0_attn1_to_q"
    dora = {**plain, f"{one}.dora_scale": torch.ones(64, 1)}
    tiny_sdxl.write_lora(comfy, "sweep_dora.safetensors", dora)
    return {"model": model, "clip": clip, "vae": vae}


@pytest.fixture
def sweep(comfy: Path) -> ModuleType:
    return importlib.import_module("lora_kiln.nodes.sweep")


@pytest.fixture
def axes(comfy: Path) -> ModuleType:
    return importlib.import_module("lora_kiln.nodes.axes")


def run(node: Any, **inputs: Any) -> Any:
    """Execute a node as ComfyUI does: on a prepared clone, in inference mode."""
    io = importlib.import_module("comfy_api.latest").io
    hidden = {
        io.Hidden.prompt: {"1": "graph"},
        io.Hidden.extra_pnginfo: {"workflow": {"nodes": []}},
    }
    clone = node.PREPARE_CLASS_CLONE({"hidden_inputs": hidden})
    with torch.inference_mode():
        return clone.execute(**inputs)


def axis_of(axes: ModuleType, name: str, values: str) -> Any:
    node = next(node for node in axes.NODES if node.__name__ == name)
    return run(node, values=values).args[0]


def test_every_input_and_output_is_explained(sweep: ModuleType, axes: ModuleType) -> None:
    names = {node.__name__ for node in axes.NODES}
    assert names >= {"KilnAxisStrength", "KilnAxisCfg"}
    for node in (*sweep.NODES, *axes.NODES):
        schema = node.GET_SCHEMA()
        assert schema.node_id == node.__name__
        assert schema.category == "LoRA Kiln/sweep"
        assert schema.description
        for socket in (*schema.inputs, *schema.outputs):
            assert socket.tooltip, f"{schema.node_id}: {socket}"
        assert (ROOT / "web" / "docs" / f"{schema.node_id}.md").is_file()
        assert node.INPUT_TYPES()


def test_an_axis_node_tells_what_it_cannot_read_before_the_graph_runs(axes: ModuleType) -> None:
    """Of numbers; ``test_axis_nodes`` has the others."""
    numeric = {"KilnAxisStrength", "KilnAxisCfg", "KilnAxisSeed", "KilnAxisSteps"}
    for node in axes.NODES:
        assert node.validate_inputs() is True
        if node.__name__ in numeric:
            assert node.validate_inputs(values=node.GET_SCHEMA().inputs[0].default) is True
            assert "'much'" in node.validate_inputs(values="1, much")


def test_a_grid_of_strength_and_cfg(
    sweep: ModuleType, axes: ModuleType, wires: dict[str, Any], comfy: Path
) -> None:
    out = run(
        sweep.KilnSweep, **wires, **SETTINGS, lora_name="sweep_plain.safetensors",
        axis_1=axis_of(axes, "KilnAxisStrength", "0.5, 1"),
        axis_2=axis_of(axes, "KilnAxisCfg", "1, 6"),
    )
    grid, cells, result, table, diff = out.args
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [(row["strength"], row["cfg"]) for row in rows] == [
        ("0.0", "1.0"), ("0.0", "6.0"), ("0.5", "1.0"), ("0.5", "6.0"), ("1.0", "1.0"),
        ("1.0", "6.0"),
    ]
    assert {row["mode"] for row in rows} == {"batched"}
    (parity,) = [float(row["parity"]) for row in rows if row["parity"]]
    assert parity <= 1e-4
    assert cells.shape == (6, 64, 64, 3)
    assert len(grid) == 1
    assert 0 <= float(grid.min()) < float(grid.max()) <= 1
    assert diff.shape[0] == 1
    assert diff.shape[1] > grid.shape[1]
    assert diff.shape[2] == grid.shape[2]
    assert [float(row["effect"]) > 0 for row in rows] == [False, False, True, True, True, True]

    folder = comfy / "output" / "kiln" / "sweeps" / "test sweep_00001"
    assert result.folder == folder
    assert (folder / "table.csv").read_text("utf-8") == table
    assert len(json.loads((folder / "table.json").read_text("utf-8"))["rows"]) == 6
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    assert names == [str(Path("cells", f"cell_{n:04d}.png")) for n in range(6)] + [
        "diff.png", "grid.png",
    ]  # fmt: skip
    assert (folder / "strip.webp").is_file()
    picture = Image.open(folder / "grid.png")
    assert isinstance(picture, Image.Image)
    assert json.loads(picture.info["workflow"]) == {"nodes": []}
    assert json.loads(Image.open(folder / "cells" / "cell_0003.png").info["kiln_cell"])["cfg"] == 6
    (shown,) = out.ui["images"]
    assert shown["filename"] == "grid.png"
    assert (comfy / "output" / shown["subfolder"] / "grid.png").is_file()
    assert out.ui["kiln_sweep"][0]["notes"][0].endswith("keys matched")


def test_files_as_the_person_wants_them(
    sweep: ModuleType, wires: dict[str, Any], comfy: Path
) -> None:
    """A lossy format changes the files and not the outputs; a view that is off says so."""
    exact = run(sweep.KilnSweep, **wires, **SETTINGS, lora_name="sweep_plain.safetensors")
    out = run(
        sweep.KilnSweep, **wires, **SETTINGS, lora_name="sweep_plain.safetensors",
        picture_format="jpeg", picture_quality=30, diff_view=False, strip_axis="none",
    )
    assert torch.equal(out.args[1], exact.args[1])
    assert "diff_view" in out.args[4].message
    assert out.ui["images"][0]["filename"] == "grid.jpg"
    folder = out.args[2].folder
    assert sorted(path.name for path in folder.iterdir()) == [
        "cells", "grid.jpg", "prompt.json", "table.csv", "table.json", "workflow.json",
    ]  # fmt: skip


def test_a_connected_lora_and_no_axis(
    sweep: ModuleType, wires: dict[str, Any], comfy: Path
) -> None:
    """What Train LoRA hands over goes before the name, and gets a folder of its own."""
    from lora_kiln.lora_format.published import PublishedLora

    path = comfy / "models" / "loras" / "sweep_plain.safetensors"
    lora = PublishedLora(path=path, loader_name=path.name, sha256="", family="sdxl", rank=4)
    made = [
        run(sweep.KilnSweep, **wires, **SETTINGS, lora=lora, lora_name=sweep.CONNECTED).args[2]
        for _ in range(2)
    ]
    assert made[0].folder != made[1].folder
    assert [row["strength"] for row in made[0].rows] == [0.0, 1.0]
    first, second = (result.pictures for result in made)
    assert all(first[n].tobytes() == second[n].tobytes() for n in first)


@pytest.mark.parametrize(
    ("changes", "mode", "reason"),
    [
        ({"lora_name": "sweep_dora.safetensors"}, "patched", "DoRA"),
        ({"sampler": "dpm_adaptive", "scheduler": "karras"}, "alone", "dpm_adaptive"),
        ({"mode": "exact"}, "patched", "exact mode"),
    ],
)
def test_what_cannot_be_batched_says_why(
    sweep: ModuleType, wires: dict[str, Any], changes: dict[str, Any], mode: str, reason: str
) -> None:
    inputs = {**SETTINGS, "lora_name": "sweep_plain.safetensors", **changes}
    rows = run(sweep.KilnSweep, **wires, **inputs).args[2].rows
    with_lora = [row for row in rows if row["strength"]]
    assert {row["mode"] for row in with_lora} == {mode}
    assert all(reason in row["reason"] for row in with_lora)
    assert rows[1]["effect"] > 0


def test_any_axis_input_may_be_the_only_one(
    sweep: ModuleType, axes: ModuleType, wires: dict[str, Any]
) -> None:
    out = run(
        sweep.KilnSweep, **wires, **SETTINGS, lora_name="sweep_plain.safetensors",
        axis_3=axis_of(axes, "KilnAxisCfg", "2, 4"),
    )
    assert out.args[2].plan.row_labels == ("CFG 2", "CFG 4")
    assert out.args[2].plan.column_labels == ("strength 0", "strength 1")


def test_a_sweep_without_a_lora_says_what_to_do(
    sweep: ModuleType, wires: dict[str, Any]
) -> None:
    for name, words in ((sweep.CONNECTED, "has no LoRA"), ("../x.safetensors", "below models")):
        with pytest.raises(KilnError, match=words):
            run(sweep.KilnSweep, **wires, **SETTINGS, lora_name=name)


def test_the_fingerprint_follows_the_file(sweep: ModuleType, comfy: Path) -> None:
    path = comfy / "models" / "loras" / "changing.safetensors"
    fingerprint = sweep.KilnSweep.fingerprint_inputs
    seen = {fingerprint(lora_name=path.name), fingerprint(lora_name=None, lora=None)}
    for content in (b"a", b"bc"):
        path.write_bytes(content)
        seen.add(fingerprint(lora_name=path.name, prompt="x"))
        assert fingerprint(lora_name=path.name) in seen
    path.unlink()
    assert len(seen) == 4


def test_an_estimate_shows_what_is_there(
    sweep: ModuleType, axes: ModuleType, wires: dict[str, Any]
) -> None:
    """Nothing at first, all of it later; nothing is drawn for it."""
    own = {**SETTINGS, "prompt": "estimated", "lora_name": "sweep_plain.safetensors"}
    before = run(sweep.KilnSweep, **wires, **{**own, "mode": "estimate"}).args
    assert before[2].rows == ()
    assert float(before[1].std(dim=(0, 1, 2)).max()) == 0
    assert any("2 pictures to draw" in note for note in before[2].notes)
    run(sweep.KilnSweep, **wires, **own)
    after = run(sweep.KilnSweep, **wires, **{**own, "mode": "estimate"}).args
    assert {row["origin"] for row in after[2].rows} == {"stored"}
    assert float(after[1].std(dim=(0, 1, 2)).max()) > 0


def test_a_torn_lora_costs_its_own_cells(
    sweep: ModuleType, axes: ModuleType, wires: dict[str, Any], comfy: Path
) -> None:
    folder = comfy / "models" / "loras"
    whole = (folder / "sweep_plain.safetensors").read_bytes()
    (folder / "sweep_torn.safetensors").write_bytes(whole[: len(whole) // 2])
    try:
        names = "sweep_plain, sweep_torn"
        result = run(
            sweep.KilnSweep, **wires, **SETTINGS, lora_name=sweep.CONNECTED,
            axis_1=axis_of(axes, "KilnAxisCheckpoint", names),
        ).args[2]
    finally:
        (folder / "sweep_torn.safetensors").unlink()
    errors = {row["lora"]: row["error"] for row in result.rows if row["strength"]}
    assert errors["sweep_plain.safetensors"] == ""
    assert "cannot be read" in errors["sweep_torn.safetensors"]
    assert len(result.pictures) == len(result.rows) - 1


def test_rows_that_must_be_equal_are_told_before_they_are_drawn(
    sweep: ModuleType, axes: ModuleType, wires: dict[str, Any]
) -> None:
    inputs = {**SETTINGS, "strength": 0.0, "lora_name": sweep.CONNECTED}
    notes = run(
        sweep.KilnSweep, **wires, **inputs,
        axis_1=axis_of(axes, "KilnAxisCheckpoint", "sweep_plain, sweep_dora"),
    ).args[2].notes
    (idle,) = [n for n, note in enumerate(notes) if "nothing can change along" in note]
    assert "the Checkpoint axis: no cell has a LoRA" in notes[idle]
    assert idle < next(n for n, note in enumerate(notes) if note.startswith("3 cells"))


def test_the_title_is_of_what_all_cells_share(
    sweep: ModuleType, axes: ModuleType, wires: dict[str, Any]
) -> None:
    def title(**inputs: Any) -> str:
        result = run(
            sweep.KilnSweep, **wires, **{**SETTINGS, **inputs}, lora_name="sweep_plain.safetensors"
        ).args[2]
        return str(json.loads((result.folder / "table.json").read_text("utf-8"))["title"])

    usual = title()
    assert usual == "sweep_plain.safetensors · euler, 3 steps, seed 3: a star\nover the sea"
    seeds = axis_of(axes, "KilnAxisSeed", "7, 8")
    prompts = axis_of(axes, "KilnAxisPrompt", "a boat\na hill")
    assert title(axis_1=seeds) == usual.replace(", seed 3", "")
    assert title(axis_1=seeds, axis_2=prompts) == "sweep_plain.safetensors · euler, 3 steps"
