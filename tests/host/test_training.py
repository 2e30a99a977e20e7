"""Training in ComfyUI: the model stays what it was, and a run goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

Train = Callable[..., Any]
Photograph = Callable[[Any], dict[str, Any]]


def lora_of(outcome: Any) -> dict[str, torch.Tensor]:
    return load_file(outcome.result.lora.path)


def assert_same_lora(first: Any, second: Any) -> None:
    one, two = lora_of(first), lora_of(second)
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.equal(value, two[name]), name


def assert_unchanged(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert before.keys() == after.keys()
    changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    assert changed == {}


def warm_up(demo: Any) -> None:
    """ComfyUI itself marks a model when it loads it first; that is not training's doing."""
    import comfy.model_management

    with torch.inference_mode():
        comfy.model_management.load_models_gpu([demo.model])


def steps_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("step_*"))


def test_the_photograph_sees_what_training_does(demo: Any, photograph: Photograph) -> None:
    """Else every comparison below would hold for nothing."""
    from lora_kiln.core.attach import Attachment
    from lora_kiln.host.model import ComfyDenoiser
    from lora_kiln.trainer.frozen import attach_frozen

    warm_up(demo)
    before = photograph(demo.model)
    denoiser = ComfyDenoiser(demo.model, "fp32")
    loaded = denoiser.loaded(0.0)
    with torch.inference_mode(False), loaded, Attachment() as attachment:
        aliased = photograph(demo.model)
        attach_frozen(attachment, denoiser.modules().values(), denoiser.weights)
        attached = photograph(demo.model)
    assert aliased["in_training"] is True
    assert sum(before[name] != aliased[name] for name in before) > 20
    assert sum(aliased[name] != attached[name] for name in before) > 20
    assert_unchanged(before, photograph(demo.model))


def test_the_model_is_bit_identical_after_success(
    demo: Any, train: Train, photograph: Photograph, host: Any
) -> None:
    warm_up(demo)
    before = photograph(demo.model)
    outcome = train(checkpoint_activations="on")
    assert_unchanged(before, photograph(demo.model))
    result = outcome.result
    assert result.trained_steps == 4
    assert [entry["step"] for entry in result.metrics] == [1, 2, 3, 4]
    assert not any(entry["skipped"] for entry in result.metrics)
    assert all(entry["grad_norm"] > 0 for entry in result.metrics)
    assert result.probe_end != result.probe_start
    assert host.updates[-1] == (4, 4)
    ups = [v for k, v in lora_of(outcome).items() if k.endswith("lora_up.weight")]
    assert all(float(up.abs().max()) > 0 for up in ups)
    assert steps_below(outcome.run.checkpoints) == ["step_000002", "step_000004"]
    assert outcome.result.lora.loader_name == "kiln/small-001.safetensors"
    assert (host.loras / "kiln" / "small-001" / "step_000002.safetensors").is_file()
    assert len(outcome.model.patches) == len(lora_of(outcome)) // 3


def test_the_model_is_bit_identical_after_another_precision(
    demo: Any, train: Train, photograph: Photograph
) -> None:
    """bf16 makes the host mark layers for casting; the marks must be gone again."""
    warm_up(demo)
    before = photograph(demo.model)
    outcome = train(precision="bf16", steps=2)
    assert {tensor.dtype for tensor in lora_of(outcome).values()} == {torch.bfloat16}
    # Left behind, a mark would make the host skip the layer's patches at a later partial load.
    modules = demo.model.model.modules()
    assert not any(hasattr(module, "prev_comfy_cast_weights") for module in modules)
    warm_up(demo)
    assert_unchanged(before, photograph(demo.model))
    assert demo.model.model.get_dtype_inference() == torch.float32


def test_weights_that_ask_for_gradients_get_none(
    demo: Any, train: Train, photograph: Photograph
) -> None:
    """ComfyUI 0.24, the oldest that is promised, leaves requires_grad on."""
    warm_up(demo)
    parameters = list(demo.model.model.diffusion_model.parameters())
    plain = lora_of(train(steps=2))
    with torch.inference_mode():
        for parameter in parameters:
            parameter.requires_grad_(True)
    try:
        before = photograph(demo.model)
        asking = lora_of(train(steps=2, run_name="asking"))
        assert_unchanged(before, photograph(demo.model))
    finally:
        with torch.inference_mode():
            for parameter in parameters:
                parameter.requires_grad_(False)
    assert all(parameter.grad is None for parameter in parameters)
    assert all(torch.equal(plain[name], asking[name]) for name in plain)


def test_training_on_a_model_with_a_patch_of_its_own(
    demo: Any, train: Train, photograph: Photograph
) -> None:
    """Another LoRA that is wired in takes part, and goes with its own MODEL."""
    import comfy.model_management

    warm_up(demo)
    before = photograph(demo.model)
    patched = demo.model.clone()
    tensors = patched.model.state_dict()
    name = next(key for key in tensors if key.endswith("proj_in.weight"))
    patched.add_patches({name: (torch.ones(tensors[name].shape),)}, 0.5)
    plain, other = train(steps=1), train(steps=1, model=patched)
    assert other.run.name == "small-002"
    assert other.result.probe_start != plain.result.probe_start
    with torch.inference_mode():
        comfy.model_management.load_models_gpu([demo.model])
    after, key = photograph(demo.model), f"diffusion_model.{name.split('.', 1)[1]}"
    # The host itself puts a new object there when it takes the patch out again.
    assert after[key][0] == before[key][0]
    assert_unchanged({**before, key: None}, {**after, key: None})
    assert len(patched.patches) == 1


def test_the_model_is_bit_identical_after_an_error_in_the_loop(
    demo: Any, train: Train, photograph: Photograph, host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_kiln.trainer.step import StepRunner

    warm_up(demo)
    plain = StepRunner.losses

    def broken(self: Any, samples: Any, step: int, total: int) -> torch.Tensor:
        if step == 2:
            raise RuntimeError("the kiln cracked")
        return plain(self, samples, step, total)

    before = photograph(demo.model)
    with monkeypatch.context() as patched:
        patched.setattr(StepRunner, "losses", broken)
        with pytest.raises(RuntimeError, match="the kiln cracked"):
            train()
    assert_unchanged(before, photograph(demo.model))
    assert steps_below(host.runs / "small-001" / "checkpoints") == ["step_000002"]
    broken_off = train()
    assert (broken_off.run.name, broken_off.result.trained_steps) == ("small-001", 2)
    assert_same_lora(broken_off, train(run_name="whole"))


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_cancelled_and_queued_again_is_the_same_lora(
    demo: Any, train: Train, photograph: Photograph, host: Any, cut: int
) -> None:
    """Cancelled between whole steps; two batches of one picture shape make a step's checks."""
    from comfy.model_management import InterruptProcessingException

    warm_up(demo)
    before = photograph(demo.model)
    calls = _checks_before_step(host, train, cut)
    host.checks, host.cancel_at = 0, calls + 1
    with pytest.raises(InterruptProcessingException):
        train(run_name="cut")
    host.cancel_at = None
    assert_unchanged(before, photograph(demo.model))
    folder = host.runs / "cut-001"
    assert steps_below(folder / "checkpoints")[-1] == f"step_{cut:06d}"
    assert (host.loras / "kiln" / "cut-001" / f"step_{cut:06d}.safetensors").is_file()
    assert not (host.loras / "kiln" / "cut-001.safetensors").exists()
    resumed = train(run_name="cut")
    assert resumed.run.name == "cut-001"
    assert resumed.result.trained_steps == 4 - cut
    assert [entry["step"] for entry in resumed.result.metrics] == [1, 2, 3, 4]
    assert_same_lora(resumed, train(run_name="whole"))
    again = train(run_name="cut")
    assert again.result.trained_steps == 0


def _checks_before_step(host: Any, train: Train, step: int) -> int:
    """How often Cancel is asked for before this step, learned from a whole run."""
    seen: list[tuple[int, int]] = []
    plain = host.update

    def update(done: int, total: int, **kwargs: Any) -> None:
        if total == 4:
            seen.append((done, host.checks))
        plain(done, total, **kwargs)

    host.update, host.checks = update, 0
    train(run_name="whole")
    del host.update
    return dict(seen)[step]


def test_a_finished_run_returns_at_once_and_a_change_takes_the_next_number(
    train: Train, host: Any
) -> None:
    first = train(steps=2, checkpoint_every=0)
    written = host.written()
    again = train(steps=2, checkpoint_every=0)
    assert again.run == first.run
    assert again.result.trained_steps == 0
    assert again.result.lora == first.result.lora
    assert again.result.metrics == first.result.metrics
    assert host.written() == written
    # Where pictures are shown or how often checkpoints are kept makes no other run.
    assert train(steps=2, checkpoint_every=1).run == first.run
    changed = train(steps=2, rank=2)
    assert (changed.run.name, changed.result.trained_steps) == ("small-002", 2)
    assert train(steps=2, checkpoint_every=0).run == first.run


def test_a_finished_run_whose_file_was_deleted_makes_it_again(train: Train) -> None:
    first = train(steps=2, checkpoint_every=0)
    tensors = lora_of(first)
    first.result.lora.path.unlink()
    again = train(steps=2, checkpoint_every=0)
    assert again.run == first.run
    assert again.result.lora.path == first.result.lora.path
    assert all(torch.equal(value, tensors[name]) for name, value in lora_of(again).items())


def test_other_pictures_or_another_model_make_another_run(
    train: Train, demo: Any, pictures: Any
) -> None:
    from dataclasses import replace

    assert train(steps=1).run.name == "small-001"
    items = (replace(pictures.items[0], caption="another caption"), *pictures.items[1:])
    assert train(steps=1, dataset=replace(pictures, items=items)).run.name == "small-002"
    patched = demo.model.clone()
    name = next(k for k in patched.model.state_dict() if k.endswith("proj_in.weight"))
    patched.add_patches({name: (torch.ones(1) * 1e-3,)}, 1.0)
    assert train(steps=1, model=patched).run.name == "small-003"
    assert train(steps=1).result.trained_steps == 0


def test_a_run_keeps_its_dataset_and_tells_what_changed(
    train: Train, pictures: Any, host: Any
) -> None:
    from safetensors import safe_open

    from lora_kiln.dataset.manifest import manifest_of, read_manifest

    first = train(run_name="versions", steps=1)
    kept = read_manifest(first.run.folder / "dataset.json")
    assert kept == manifest_of(pictures)
    assert first.run.document()["dataset"] == {"name": pictures.name, "state": kept.state}
    with safe_open(first.result.lora.path, "pt") as file:
        assert file.metadata()["kiln_dataset_state"] == kept.state
    captions = [item.caption for item in pictures.items]
    changed = pictures.with_captions(["another caption", *captions[1:]])
    second = train(run_name="versions", steps=1, dataset=changed)
    assert second.run.name != first.run.name
    assert any(f"Since {first.run.name}: 1 caption changed." in line for line in host.said)
