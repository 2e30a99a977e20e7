"""Numbers that are none, memory that runs out, and input that cannot be used."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lora_kiln.core.errors import ConfigError, DatasetError, HostError, KilnError, TrainingDiverged

Train = Callable[..., Any]


def spoil_losses(monkeypatch: pytest.MonkeyPatch, steps: set[int], value: float) -> None:
    """Give the loss of some steps another value, gradients included."""
    from lora_kiln.trainer.step import StepRunner

    plain = StepRunner.losses

    def spoilt(self: Any, samples: Any, step: int, total: int) -> torch.Tensor:
        losses = plain(self, samples, step, total)
        return losses * value if step in steps else losses

    monkeypatch.setattr(StepRunner, "losses", spoilt)


def read_state(folder: Path, step: int) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoints" / f"step_{step:06d}" / "adapter.safetensors")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_step_without_a_number_is_skipped(
    train: Train, host: Any, monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    spoil_losses(monkeypatch, {1}, bad)
    outcome = train(steps=3, checkpoint_every=1)
    metrics = outcome.result.metrics
    assert [entry["skipped"] for entry in metrics] == [False, True, False]
    assert (metrics[1]["loss"], metrics[1]["grad_norm"]) == (None, None)
    # Step 1 is dropped when step 3 is kept, so what was published is compared.
    published = host.loras / "kiln" / outcome.run.name
    first, second = (load_file(published / f"step_00000{n}.safetensors") for n in (1, 2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    final = load_file(outcome.result.lora.path)
    assert any(not torch.equal(value, final[name]) for name, value in second.items())
    assert all(bool(torch.isfinite(value).all()) for value in final.values())


def test_three_in_a_row_end_the_run_with_the_last_good_lora(
    train: Train, host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil_losses(monkeypatch, {1, 3, 4, 5}, math.nan)
    with pytest.raises(TrainingDiverged, match=r"no number 3 times in a row.*lower the learning"):
        train(steps=8, checkpoint_every=0)
    folder = host.runs / "small-001"
    (published,) = (host.loras / "kiln" / "small-001").iterdir()
    good = load_file(published)
    assert all(bool(torch.isfinite(value).all()) for value in good.values())
    monkeypatch.undo()
    (checkpoint,) = (folder / "checkpoints").iterdir()
    state = load_file(checkpoint / "adapter.safetensors")
    assert any(float(v.abs().max()) > 0 for k, v in state.items() if k.endswith(".up"))


def test_running_out_of_memory_halves_the_microbatch_and_changes_nothing(
    train: Train, host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_kiln.trainer.step import StepRunner

    plain = StepRunner.losses
    sizes: list[tuple[int, int]] = []

    def hungry(self: Any, samples: Any, step: int, total: int) -> torch.Tensor:
        sizes.append((step, len(samples)))
        losses = plain(self, samples, step, total)
        second_of_step_1 = [s for s, _ in sizes].count(1) == 2 and step == 1
        if second_of_step_1 or (step >= 2 and len(samples) > 1):
            # In backward; in step 1 the gradients of another microbatch are there already.
            losses.register_hook(_out_of_memory)
        return losses

    # A small rate: Adam blows the rounding of gradients near zero up to the size of a step.
    settings = {"accumulate": 2, "learning_rate": 1e-4}
    wanted = load_file(train(run_name="plenty", **settings).result.lora.path)
    with monkeypatch.context() as patched:
        patched.setattr(StepRunner, "losses", hungry)
        outcome = train(run_name="scarce", **settings)
    assert max(size for _, size in sizes) == 3
    assert {size for step, size in sizes if step == 3} == {1}
    told = [text for text in host.said if "Out of memory: going on with" in text]
    assert [text.split("with ")[1][0] for text in told] == ["2", "1"]
    assert outcome.result.trained_steps == 4
    found = load_file(outcome.result.lora.path)
    for name, value in wanted.items():
        # One update moves a factor by up to 1e-4.
        torch.testing.assert_close(found[name], value, rtol=0, atol=4e-5)


def _out_of_memory(_grad: torch.Tensor) -> torch.Tensor:
    raise torch.OutOfMemoryError("simulated: out of memory")


def test_no_memory_for_a_single_picture_is_told(
    train: Train, host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_kiln.trainer.step import StepRunner

    def starved(self: Any, samples: Any, step: int, total: int) -> torch.Tensor:
        raise RuntimeError("MPS backend out of memory (made up)")

    monkeypatch.setattr(StepRunner, "losses", starved)
    with pytest.raises(HostError, match=r"with a single picture.*checkpoint_activations to auto"):
        train(checkpoint_activations="off")
    assert not any("recomputed" in text for text in host.said)
    with pytest.raises(HostError, match=r"with a single picture"):
        train(run_name="automatic")
    assert any("blocks recomputed" in text for text in host.said)
    assert list((host.loras).rglob("*.safetensors")) == []


def test_blocks_are_recomputed_when_one_picture_is_too_much(
    train: Train, host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_kiln.trainer import activations
    from lora_kiln.trainer.step import StepRunner

    wanted = load_file(train(run_name="plenty", batch_size=1).result.lora.path)
    plain, recomputed = StepRunner.losses, activations._recomputed
    seen: list[str] = []

    def watched(*args: Any, **kwargs: Any) -> Any:
        seen.append("block")
        return recomputed(*args, **kwargs)

    def hungry(self: Any, samples: Any, step: int, total: int) -> torch.Tensor:
        seen.clear()
        losses = plain(self, samples, step, total)
        if not seen and step == 1:
            losses.register_hook(_out_of_memory)
        return losses

    monkeypatch.setattr(activations, "_recomputed", watched)
    monkeypatch.setattr(StepRunner, "losses", hungry)
    outcome = train(run_name="scarce", batch_size=1)
    assert [text for text in host.said if "blocks recomputed" in text]
    assert len(seen) > 5
    found = load_file(outcome.result.lora.path)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6)


def test_what_is_refused_leaves_nothing(
    demo: Any, train: Train, host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prediction that nobody trains, and a library that is not there."""
    import importlib.util

    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete

    for kind in ("lcm", "x0"):
        (patched,) = ModelSamplingDiscrete().patch(demo.model, kind, False)
        with pytest.raises(HostError, match=f"predicts '{kind[:1]}"):
            train(model=patched)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "lora_kiln.trainer.job.find_spec", lambda name: None if name == "peft" else find(name)
    )
    with pytest.raises(KilnError, match="pip install peft"):
        train()
    assert host.written() == []


def test_models_that_compute_with_more_than_their_own(
    demo: Any, train: Train, host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    injected = demo.model.clone()
    injected.set_injections("bypass", [object()])
    with pytest.raises(HostError, match=r"injects layers.*bypass"):
        train(model=injected)
    monkeypatch.setattr(demo.model.model, "concat_keys", ("mask",))
    with pytest.raises(HostError, match="inpainting"):
        train()
    assert host.written() == []


def assert_told(error: KilnError, *words: str) -> None:
    """One paragraph: found, expected, remedy, and the words that matter."""
    text = str(error)
    assert "\n" not in text
    assert text.index(error.found[:10]) < text.index("Expected ") < text.index(error.remedy[:10])
    assert len(text) < 700
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rank": 0}, ("rank is 0", "from 1 to 1024")),
        ({"steps": 0}, ("steps is 0", "from 1 to")),
        ({"learning_rate": math.nan}, ("learning_rate is nan",)),
        ({"precision": "int4"}, ("precision is 'int4'", "auto, fp32, bf16, fp16")),
        ({"warmup_steps": 4}, ("warmup_steps is 4 and steps is 4",)),
        ({"run_name": "../x"}, ("'../x'", "without / or", "Choose a plain name")),
        ({"run_name": "a/b"}, ("'a/b'",)),
        ({"run_name": "a\\b"}, ("a plain name",)),
        ({"run_name": ""}, ("The run name is ''",)),
    ],
)
def test_settings_that_cannot_be(
    train: Train, host: Any, changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as caught:
        train(**changes)
    assert_told(caught.value, *words)
    assert host.written() == []


def test_fp16_on_a_cpu(train: Train, host: Any, demo: Any) -> None:
    if demo.model.load_device.type != "cpu":
        pytest.skip("needs the model on a CPU")
    with pytest.raises(HostError) as caught:
        train(precision="fp16")
    assert_told(caught.value, "fp16", "CPU", "Set precision to auto")
    assert host.written() == []


def test_a_model_of_an_unknown_family(train: Train, host: Any, demo: Any) -> None:
    class Sphinx:
        pass

    stranger = demo.model.clone()
    stranger.model = Sphinx()
    with pytest.raises(HostError) as caught:
        train(model=stranger)
    known = "can train: Flux.1, Lumina 2, SD 1.5, SDXL, Z-Image"
    assert_told(caught.value, "a 'Sphinx'", known, "Connect a checkpoint")
    assert host.written() == []


def test_missing_captions(train: Train, host: Any, pictures: Any) -> None:
    bare = replace(pictures.items[1], caption=None)
    with pytest.raises(DatasetError) as caught:
        train(dataset=replace(pictures, items=(pictures.items[0], bare)))
    assert_told(caught.value, pictures.items[1].name, "caption")
    assert host.written() == []


def test_an_unreadable_picture_and_an_empty_folder(
    train: Train, host: Any, pictures: Any, tmp_path: Path
) -> None:
    from lora_kiln.dataset.scan import scan_folder

    folder = tmp_path / "mine"
    folder.mkdir()
    with pytest.raises(DatasetError) as caught:
        scan_folder(folder, name="mine")
    assert_told(caught.value, "picture")
    source = pictures.items[0].source.path
    shutil.copy(source, folder / "good.png")
    (folder / "good.txt").write_text("x")
    dataset = scan_folder(folder, name="mine")
    (folder / "good.png").write_bytes(source.read_bytes()[:200])
    with pytest.raises(DatasetError) as caught:
        train(dataset=dataset)
    assert_told(caught.value, "good.png")
    assert host.written() == []


def test_a_path_outside_the_roots(host: Any) -> None:
    from lora_kiln.host.paths import PathError, resolve_folder, resolve_lora

    for name in ("/etc", "../models", "input/../../x", "nowhere/x"):
        with pytest.raises(PathError) as caught:
            resolve_folder(name)
        assert_told(caught.value, name.removeprefix("input/"))
    with pytest.raises(PathError) as caught:
        resolve_lora("../../output/x.safetensors")
    assert_told(caught.value, "name below models/loras")
