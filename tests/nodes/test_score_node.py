"""Score Sweep as a node: files, pictures, the shortlist's suggestion and the person's choice."""

from __future__ import annotations

import csv
import importlib
import io
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from lora_kiln.core.errors import ConfigError, HostError
from lora_kiln.dataset.items import Dataset, DatasetItem, PictureArray
from lora_kiln.tests.sweep.score_cases import blobs, make_plan, save_sweep

ROOT = Path(__file__).resolve().parents[2]
STRENGTHS, SEEDS, PROMPTS = (0.0, 0.5, 1.0, 1.5), (1, 2), ("kp, a boat", "a boat")


@pytest.fixture
def node(comfy: Path) -> ModuleType:
    del comfy
    return importlib.import_module("lora_kiln.nodes.score")


def run(node: Any, **inputs: Any) -> Any:
    """Execute as ComfyUI does: on a prepared clone, in inference mode."""
    api = importlib.import_module("comfy_api.latest").io
    hidden = {
        api.Hidden.prompt: {"1": "graph"}, api.Hidden.extra_pnginfo: {"workflow": {"nodes": []}},
    }
    clone = node.PREPARE_CLASS_CLONE({"hidden_inputs": hidden})
    with torch.inference_mode():
        return clone.execute(**inputs)


def dataset(count: int = 6) -> Dataset:
    """Bluish pictures with captions, and one that is held out."""
    items = [
        DatasetItem(
            f"{n}.png", PictureArray(f"{n}.png", np.asarray(blobs(50 + n, tint=(-40, -10, 60)))),
            caption=f"kp, picture {n}",
        )
        for n in range(count)
    ]
    held_out = replace(items[0], name="held.png", role="validation")
    return Dataset((*items, held_out), "blue")


def drawn(copies: bool = False) -> dict[int, Image.Image]:
    """Pictures that become bluer with the strength, and harder above 1."""
    pictures = {}
    for cell in make_plan(STRENGTHS, SEEDS, PROMPTS).cells:
        strength, own = cell.settings.strength, cell.settings.seed
        tint = tuple(round(part * strength) for part in (-40, -10, 60))
        picture = blobs(own, tint=tint)
        pictures[cell.index] = ImageEnhance.Contrast(picture).enhance(1 + max(0, strength - 1) * 3)
        if copies and strength == 1.5:
            pictures[cell.index] = blobs(52, tint=(-40, -10, 60))
    return pictures


@pytest.fixture
def sweep(comfy: Path, request: pytest.FixtureRequest) -> Any:
    """A finished sweep below ComfyUI's output folder."""
    folder = comfy / "output" / "kiln" / "sweeps" / request.node.name[:60]
    plan = make_plan(STRENGTHS, SEEDS, PROMPTS, lora="kiln/boat-001.safetensors", cfg=4.0)
    return save_sweep(folder, plan, drawn("copies" in request.node.name))


def test_every_input_and_output_is_explained(node: ModuleType) -> None:
    schema = node.KilnScoreSweep.GET_SCHEMA()
    assert (schema.node_id, schema.category) == ("KilnScoreSweep", "LoRA Kiln/sweep")
    assert schema.description
    for socket in (*schema.inputs, *schema.outputs):
        assert socket.tooltip, socket
    assert (ROOT / "web" / "docs" / "KilnScoreSweep.md").is_file()
    assert node.KilnScoreSweep.INPUT_TYPES()


def test_a_sweep_with_its_training_set(node: ModuleType, sweep: Any, comfy: Path) -> None:
    out = run(node.KilnScoreSweep, sweep=sweep, dataset=dataset(), trigger="kp")
    overview, maps, table, lora, strength, clip_strength, cfg, seed, report = out.args
    rows = list(csv.DictReader(io.StringIO(table)))
    assert len(rows) == 16
    columns = set(rows[0])
    assert columns > {
        "cell", "strength", "burn", "burn_clipped", "likeness", "likeness_gain", "structure",
        "memorisation", "memorisation_picture", "colour_drift_word", "trigger_leak", "on_front",
        "shortlist", "consistency", "diversity", "effect_size",
    }
    assert "prompt" not in columns
    # Bluer with the strength, as the training set is.
    gains = [float(row["likeness_gain"]) for row in rows if row["strength"] in {"0.5", "1.0"}]
    assert min(gains) > 0.005
    assert {row["memorisation_flag"] for row in rows} == {""}
    assert overview.shape[0] == 1
    assert maps.shape[0] == len(PROMPTS)
    assert 0 <= float(overview.min()) < float(overview.max()) <= 1
    # The suggestion: of the shortlist's first, marked as such.
    (first, *_) = json.loads((sweep.folder / "scores.json").read_text("utf-8"))["shortlist"]
    decision = json.loads((sweep.folder / "decision.json").read_text("utf-8"))
    assert decision["cell"] == first["cells"][0]
    assert decision["decided_by"] == "shortlist suggestion"
    assert lora == "kiln/boat-001.safetensors"
    assert (strength, cfg, seed) == (first["settings"]["strength"], 4.0, 1)
    assert clip_strength == strength > 0
    assert report.startswith("Suggested, not chosen yet: cell ")
    assert "Prompt kept is left out" in report
    assert (sweep.folder / "scores.csv").read_text("utf-8") == table
    picture = Image.open(sweep.folder / "scores.png")
    assert json.loads(picture.info["workflow"]) == {"nodes": []}
    names = [shown["filename"] for shown in out.ui["images"]]
    assert names == ["scores.png", "scores_map.png", "scores_map_2.png"]
    folder = comfy / "output" / out.ui["images"][0]["subfolder"]
    assert all((folder / name).is_file() for name in names)


def test_the_persons_choice_goes_before_and_stays(node: ModuleType, sweep: Any) -> None:
    out = run(node.KilnScoreSweep, sweep=sweep, choice=7)
    assert out.args[3:8] == ("kiln/boat-001.safetensors", 1.5, 1.5, 4.0, 2)
    assert out.args[8].startswith("Chosen by you: cell 7")
    path = sweep.folder / "decision.json"
    kept = path.read_text("utf-8")
    assert json.loads(kept)["decided_by"] == "person"
    # Scored again without a number, with more known: it is still the person's.
    again = run(node.KilnScoreSweep, sweep=sweep, dataset=dataset())
    assert again.args[8].startswith("Chosen by you: cell 7")
    assert path.read_text("utf-8") == kept
    other = run(node.KilnScoreSweep, sweep=sweep, choice=0)
    # Strength 0 still has a name for the loader.
    assert other.args[3:5] == ("kiln/boat-001.safetensors", 0.0)


def test_a_choice_that_is_none(node: ModuleType, sweep: Any) -> None:
    with pytest.raises(ConfigError, match="0 to 15"):
        run(node.KilnScoreSweep, sweep=sweep, choice=16)
    files = {index: file for index, file in sweep.pictures.files.items() if index != 3}
    torn = replace(sweep, pictures=type(sweep.pictures)(files))
    with pytest.raises(ConfigError, match="cell 3 has no picture"):
        run(node.KilnScoreSweep, sweep=torn, choice=3)
    assert run(node.KilnScoreSweep, sweep=torn).args[2].count("\n") == 17
    empty = replace(sweep, pictures=type(sweep.pictures)({}))
    with pytest.raises(HostError, match="no pictures"):
        run(node.KilnScoreSweep, sweep=empty)


def test_copies_are_shown_and_not_suggested(node: ModuleType, sweep: Any) -> None:
    plain = run(node.KilnScoreSweep, sweep=sweep)
    out = run(node.KilnScoreSweep, sweep=sweep, dataset=dataset())
    rows = list(csv.DictReader(io.StringIO(out.args[2])))
    copied = {row["strength"] for row in rows if row["memorisation_flag"]}
    assert copied == {"1.5"}
    assert {row["memorisation_picture"] for row in rows if row["memorisation_flag"]} == {"2.png"}
    assert "look copied from the training set" in out.args[8]
    assert out.args[4] != 1.5
    # A strip with the pairs is added below.
    assert out.args[0].shape[1] > plain.args[0].shape[1]


def test_with_a_vision_model(node: ModuleType, sweep: Any, comfy: Path) -> None:
    from lora_kiln.tests.host.tiny_vision import make_vision

    out = run(
        node.KilnScoreSweep, sweep=sweep, dataset=dataset(), clip_vision=make_vision(), trigger="kp"
    )
    value = json.loads((sweep.folder / "scores.json").read_text("utf-8"))
    assert value["vectors"] == "CLIP, 48 wide"
    assert "memorisation_vision" in value["rows"][0]
    assert "Without a vision model" not in out.args[8]
    assert any((comfy / "output" / "kiln" / "cache" / "vision").rglob("*.safetensors"))


def test_cancel_is_heard(node: ModuleType, sweep: Any) -> None:
    import comfy.model_management as management

    management.interrupt_current_processing(True)
    with pytest.raises(management.InterruptProcessingException):
        run(node.KilnScoreSweep, sweep=sweep)
    assert not (sweep.folder / "scores.csv").exists()


def test_a_misspelt_trigger_is_told(node: ModuleType, sweep: Any) -> None:
    report = run(node.KilnScoreSweep, sweep=sweep, dataset=dataset(), trigger="pk").args[8]
    assert "No caption of blue contains the trigger 'pk'" in report
