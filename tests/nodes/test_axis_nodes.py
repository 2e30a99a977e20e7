"""Axis nodes: what they ask for, what they refuse before the graph runs, what they hand on."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from lora_kiln.core.errors import KilnError
from lora_kiln.sweep.axis import AxisValues

STEPS = (1, 2, 10)


@pytest.fixture
def nodes(comfy: Path) -> ModuleType:
    return importlib.import_module("lora_kiln.nodes.axes")


@pytest.fixture
def loras(comfy: Path) -> Path:
    """Two runs and a LoRA, in folders of the stock loader."""
    from lora_kiln.tests.host import tiny_sdxl

    folder = comfy / "models" / "loras"
    tensors = tiny_sdxl.lora_tensors(tiny_sdxl.make_model())
    names = [f"kiln/axis-{run}/step_{n:06d}" for run in ("001", "002") for n in STEPS]
    for name in (*names, "kiln/axis-001", "kiln/axis-002", "axis plain"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        tiny_sdxl.write_lora(comfy, f"{name}.safetensors", tensors)
    return folder


@pytest.fixture
def node(nodes: ModuleType) -> Callable[[str], Any]:
    by_name = {own.__name__: own for own in nodes.NODES}
    return lambda name: by_name[f"KilnAxis{name}"]


def run(own: Any, **inputs: Any) -> Any:
    """As ComfyUI does: on a prepared clone, in inference mode."""
    clone = own.PREPARE_CLASS_CLONE({"hidden_inputs": {}})
    with torch.inference_mode():
        return clone.execute(**inputs)


def values_of(own: Any, **inputs: Any) -> tuple[Any, ...]:
    (axis, *_) = run(own, **inputs).args[0]
    return tuple(axis.values)


def test_there_is_a_node_for_every_axis(nodes: ModuleType) -> None:
    wanted = {"Strength", "Cfg", "Checkpoint", "Prompt", "Replace", "Negative", "Seed", "Sampler",
              "Scheduler", "Steps", "Blocks"}
    assert {own.__name__ for own in nodes.NODES} == {f"KilnAxis{name}" for name in wanted}
    for own in nodes.NODES:
        schema, axis = own.GET_SCHEMA(), own.AXIS
        names = [item.id for item in schema.inputs]
        # Saved graphs keep widgets by their place: the text first, whatever else may come.
        assert names[0] == "values"
        assert names[-1] == "more"
        assert all(item.optional for item in schema.inputs[1:])
        assert ("applies_to" in names) == (len(axis.targets) > 1)
        assert ("run" in names) == axis.takes_run
        assert schema.inputs[0].multiline is axis.multiline
        assert [output.io_type for output in schema.outputs] == ["KILN_AXIS"]


def test_defaults_are_valid(nodes: ModuleType, loras: Path) -> None:
    for own in nodes.NODES:
        assert own.validate_inputs(values=own.AXIS.default) is True


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("Strength", "0, much", "'much'"),
        ("Cfg", "101", "101"),
        ("Seed", "0.5", "without decimals"),
        ("Steps", "0", "1 to 1000"),
        ("Sampler", "eulr", "such as euler"),
        ("Scheduler", "karas", "karras"),
        ("Prompt", " ", "0 values"),
        ("Negative", "", "0 values"),
        ("Replace", '"a', "Close the quote"),
        ("Blocks", "some", "'some'"),
        ("Checkpoint", "axis plane", "axis plain"),
        ("Checkpoint", "../../secret", "'../../secret'"),
        ("Checkpoint", "/etc/passwd", "'/etc/passwd'"),
        ("Checkpoint", "2", "2 runs"),
    ],
)
def test_what_cannot_be_read_is_told_before_the_graph_runs(
    node: Callable[[str], Any], loras: Path, name: str, text: str, words: str
) -> None:
    told = node(name).validate_inputs(values=text)
    assert isinstance(told, str)
    assert words in told
    with pytest.raises(KilnError):
        run(node(name), values=text)


def test_what_is_linked_is_read_when_the_graph_runs(node: Callable[[str], Any]) -> None:
    for name in ("Checkpoint", "Sampler"):
        assert node(name).validate_inputs() is True
        assert node(name).validate_inputs(values=None) is True
    # ComfyUI gives None for what is linked and does not yet exist.
    assert node("Checkpoint").validate_inputs(values="250", run=None) is True


def test_samplers_and_schedulers_are_the_stock_ones(node: Callable[[str], Any]) -> None:
    import comfy.samplers

    assert values_of(node("Sampler"), values="all") == tuple(comfy.samplers.KSampler.SAMPLERS)
    assert "dpmpp_2m" in values_of(node("Sampler"), values="DPMPP*")
    schedulers = tuple(comfy.samplers.KSampler.SCHEDULERS)
    assert values_of(node("Scheduler"), values="all") == schedulers


def test_axes_are_chained_in_their_order(node: Callable[[str], Any]) -> None:
    last = run(node("Seed"), values="1, 2").args[0]
    middle = run(node("Cfg"), values="3", more=last).args[0]
    chained = run(node("Strength"), values="0, 1", applies_to="clip", more=middle).args[0]
    assert chained == (
        AxisValues("strength", (0.0, 1.0), "clip"), AxisValues("cfg", (3.0,)),
        AxisValues("seed", (1, 2)),
    )
    assert run(node("Strength"), values="0").args[0][0].target_name == "both"


def test_a_node_says_what_it_understood(
    node: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(node("Seed"), values="3 from 7")
    assert out.ui == {"kiln_axis": [{"count": 3, "labels": ["seed 7", "seed 8", "seed 9"]}]}
    assert "3 values: seed 7, seed 8, seed 9" in capsys.readouterr().out
    assert run(node("Steps"), values="4").ui["kiln_axis"][0]["count"] == 1


def test_loras_of_the_loader_s_folder(node: Callable[[str], Any], loras: Path) -> None:
    own = node("Checkpoint")
    wanted = [str(Path("kiln", "axis-001", f"step_{n:06d}.safetensors")) for n in STEPS]
    final = str(Path("kiln", "axis-001.safetensors"))
    assert values_of(own, values="kiln/axis-001") == (*wanted, final)
    assert values_of(own, values="kiln/axis-*: first 1, axis plain, none") == (
        wanted[0], wanted[0].replace("-001", "-002"), "axis plain.safetensors", "none",
    )


def test_a_connected_run_gives_its_steps(
    node: Callable[[str], Any], loras: Path, tmp_path: Path
) -> None:
    """Its own alone, though another run has the same steps."""
    from lora_kiln.trainer.runs import RUN_FILE, Run

    folder = tmp_path / "axis-002"
    folder.mkdir()
    (folder / RUN_FILE).write_text("{}", "utf-8")
    trained = Run(folder, "")
    trained.update({"finished": True, "lora_path": str(loras / "kiln" / "axis-002.safetensors"),
                    "settings": {"steps": 12}})
    out = run(node("Checkpoint"), values="2, 12", run=trained)
    assert out.args[0][0].values == (
        str(Path("kiln", "axis-002", "step_000002.safetensors")),
        str(Path("kiln", "axis-002.safetensors")),
    )
    assert out.ui["kiln_axis"][0]["labels"] == ["step 2", "final"]
    assert len(values_of(node("Checkpoint"), values="all", run=trained)) == 4
    with pytest.raises(KilnError, match="steps 1, 2, 10, 12"):
        run(node("Checkpoint"), values="3", run=trained)
    with pytest.raises(KilnError, match="'axis plain'"):
        run(node("Checkpoint"), values="axis plain", run=trained)


def test_the_fingerprint_follows_files_and_the_folder(
    node: Callable[[str], Any], loras: Path
) -> None:
    own = node("Checkpoint")
    chosen, linked = "kiln/axis-001/*", own.fingerprint_inputs(values=None)
    seen = [own.fingerprint_inputs(values=chosen)]
    assert own.fingerprint_inputs(values=chosen, more=None) == seen[0]
    path = loras / "kiln" / "axis-001" / "step_000002.safetensors"
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    seen.append(own.fingerprint_inputs(values=chosen))
    new = path.with_name("step_000003.safetensors")
    new.write_bytes(path.read_bytes())
    seen.append(own.fingerprint_inputs(values=chosen))
    other = own.fingerprint_inputs(values="axis plain")
    assert own.fingerprint_inputs(values=None) != linked
    new.unlink()
    seen.append(own.fingerprint_inputs(values="nothing of this name"))
    assert len(set(seen)) == 4
    # A connected run comes with what trained it, and other axes have no files.
    assert own.fingerprint_inputs(values=chosen, run=None) == ""
    assert node("Seed").fingerprint_inputs(values="1") == ""
    assert own.fingerprint_inputs(values="axis plain") == other
