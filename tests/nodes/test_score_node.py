"""Score Sweep as a node: files, pictures, the shortlist's suggestion and the person's choice."""

from __future__ import annotations

import csv
import importlib
import io
import json
import weakref
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from lora_kiln.core.errors import ConfigError, HostError, KilnError
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


def test_half_letters_in_a_prompt_cost_nothing(node: ModuleType, comfy: Path) -> None:
    """JSON can bring halves of letters along; no file can hold them."""
    plan = make_plan(prompts=("a boat \ud83d",), lora="a.safetensors")
    folder = comfy / "output" / "kiln" / "sweeps" / "half_letters"
    sweep = save_sweep(folder, plan, {n: blobs(n) for n in (0, 1)})
    run(node.KilnScoreSweep, sweep=sweep, choice=1)
    decision = json.loads((folder / "decision.json").read_text("utf-8"))
    assert decision["settings"]["prompt"] == "a boat ?"
    assert json.loads((folder / "scores.json").read_text("utf-8"))["shortlist"]


def test_maps_of_many_pages_are_held_one_at_a_time(
    node: ModuleType, comfy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_kiln.sweep import score_maps

    alive: list[weakref.ref[Image.Image]] = []
    draw = score_maps.draw_maps

    def counted(*args: Any) -> Image.Image:
        assert sum(own() is not None for own in alive) <= 1
        made = draw(*args)
        alive.append(weakref.ref(made))
        return made

    monkeypatch.setattr(score_maps, "draw_maps", counted)
    plan = make_plan(prompts=tuple(map(str, range(6))))
    folder = comfy / "output" / "kiln" / "sweeps" / "many_pages"
    sweep = save_sweep(folder, plan, {n: blobs(n, (32, 32)) for n in range(12)})
    assert run(node.KilnScoreSweep, sweep=sweep).args[1].shape[0] == len(alive) == 6


def widened(folder: Path, strengths: tuple[float, ...], **settings: Any) -> Any:
    """A sweep with its table, as the Sweep node leaves it."""
    plan = make_plan(strengths, (1, 2), lora="kiln/boat-001.safetensors", cfg=4.0, **settings)
    sweep = save_sweep(folder, plan, {cell.index: blobs(cell.index) for cell in plan.cells})
    rows = [{"cell": cell.index, **asdict(cell.settings)} for cell in plan.cells]
    (folder / "table.json").write_text(json.dumps({"rows": rows}))
    return sweep


def test_a_choice_is_a_picture_and_not_a_number(node: ModuleType, comfy: Path) -> None:
    """A sweep with one more row in front numbers its cells anew."""
    sweeps = comfy / "output" / "kiln" / "sweeps"
    widened(sweeps / "carry_00001", (0.0, 0.5, 1.0))
    wider = widened(sweeps / "carry_00002", (0.0, 0.3, 0.5, 1.0))
    # Cell 3 of the first is strength 0.5, seed 2.
    out = run(node.KilnScoreSweep, sweep=wider, choice=3, chosen_in="carry_00001")
    decision = json.loads((wider.folder / "decision.json").read_text("utf-8"))
    assert (decision["cell"], decision["decided_by"]) == (5, "person")
    assert (decision["settings"]["strength"], decision["settings"]["seed"]) == (0.5, 2)
    assert "cell 3 of carry_00001, which you chose, is cell 5 here" in out.args[8]
    grid = out.ui["kiln_scores"][0]["grid"]
    assert (grid["name"], grid["choice"]) == (
        "carry_00002", {"asked": (3, "carry_00001"), "cell": 5},
    )
    # Of this sweep it is a number, and so it is without a sweep.
    for made in ("carry_00002", ""):
        assert run(node.KilnScoreSweep, sweep=wider, choice=3, chosen_in=made).args[4] == 0.3


@pytest.mark.parametrize(
    ("made", "words"),
    [("carry_00003", "is not in this sweep"), ("carry_09999", "cannot be looked up"),
     ("carry_00004", "cannot be looked up")],
)
def test_a_choice_that_is_gone_is_nobodys_decision(
    node: ModuleType, comfy: Path, made: str, words: str
) -> None:
    sweeps = comfy / "output" / "kiln" / "sweeps"
    folder = sweeps / f"carry_to_{made}"
    widened(folder, (0.0, 0.3))
    narrow = save_sweep(
        folder / "n", make_plan((0.0, 0.3), (1, 2)), {n: blobs(n) for n in range(4)}
    )
    if made == "carry_00003":
        widened(sweeps / made, (0.0, 0.9))
    if made == "carry_00004":
        (sweeps / made).mkdir()
        (sweeps / made / "table.json").write_text('{"rows": [{"cell": 3}]}')
    report = run(node.KilnScoreSweep, sweep=narrow, choice=3, chosen_in=made).args[8]
    assert report.startswith("Suggested, not chosen yet")
    assert words in report
    decision = json.loads((narrow.folder / "decision.json").read_text("utf-8"))
    assert decision["decided_by"] != "person"


def test_a_choice_leads_nowhere_else(node: ModuleType, sweep: Any) -> None:
    for made in ("../../../x", "/etc", "a\0b"):
        with pytest.raises(KilnError, match="leads out of its folder"):
            run(node.KilnScoreSweep, sweep=sweep, choice=3, chosen_in=made)


def test_a_linked_choice_is_a_number(node: ModuleType, comfy: Path) -> None:
    """What comes by a link was not clicked, whatever was clicked before."""
    sweeps = comfy / "output" / "kiln" / "sweeps"
    widened(sweeps / "linked_00001", (0.0, 0.5))
    wider = widened(sweeps / "linked_00002", (0.0, 0.3, 0.5))
    for choice, strength in ((["7", 0], 0.3), (3, 0.5)):
        graph = {"4": {"class_type": "KilnScoreSweep", "inputs": {"choice": choice}}}
        api = importlib.import_module("comfy_api.latest").io
        hidden = {api.Hidden.prompt: graph, api.Hidden.unique_id: "4"}
        clone = node.KilnScoreSweep.PREPARE_CLASS_CLONE({"hidden_inputs": hidden})
        out = clone.execute(sweep=wider, choice=3, chosen_in="linked_00001")
        assert out.args[4] == strength
