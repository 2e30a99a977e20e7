"""What a real training run publishes, found again by its steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lora_kiln.sweep.checkpoint_values import parse_checkpoints
from lora_kiln.sweep.lora_names import LoraName, lora_labels


def test_a_run_s_checkpoints_are_found_by_step(train: Callable[..., Any], host: Any) -> None:
    from lora_kiln.host.checkpoints import listed_loras, run_loras
    from lora_kiln.host.paths import PathError, resolve_lora

    outcome = train(steps=3, checkpoint_every=1)
    run = outcome.run
    assert len(parse_checkpoints("all", run_loras(run))) == 3
    names = run_loras(run)
    folder = Path("kiln", run.name)
    # The last step is published as a checkpoint, too: the same LoRA twice.
    last = str(folder / "step_000003.safetensors")
    assert names == [
        str(folder / "step_000001.safetensors"), str(folder / "step_000002.safetensors"), last,
        f"{folder}.safetensors",
    ]
    assert resolve_lora(last).stat().st_size == resolve_lora(names[-1]).stat().st_size
    names.remove(last)
    resolve_lora(last).unlink()
    assert run_loras(run) == names
    assert isinstance(names[-1], LoraName)
    assert names[-1].step == 3
    assert parse_checkpoints("2, 3", names) == names[1:]
    assert names[-1] == outcome.result.lora.loader_name
    assert lora_labels(parse_checkpoints("all", names)) == [
        "step 1", "step 2", "final",
    ]
    assert all(resolve_lora(name).is_file() for name in names)

    # Without the run connected the same files tell the same steps.
    (host.loras / "plain.safetensors").write_bytes(b"no LoRA at all")
    listed = listed_loras()
    assert sorted(listed) == sorted([*names, "plain.safetensors"])
    assert parse_checkpoints(f"{folder}: 3, 1", listed) == [names[2], names[0]]
    assert parse_checkpoints("0..3/2", listed) == [names[0], names[2]]

    # What is gone is not offered; nothing left is told.
    resolve_lora(names[0]).unlink()
    assert run_loras(run) == names[1:]
    for name in names[1:]:
        resolve_lora(name).unlink()
    with pytest.raises(PathError, match="has no LoRA below"):
        run_loras(run)


def test_a_run_that_was_cancelled_has_what_it_saved(
    train: Callable[..., Any], host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    from comfy.model_management import InterruptProcessingException

    from lora_kiln.host.checkpoints import run_loras
    from lora_kiln.trainer.runs import Run

    def cancel_after_two(done: int, total: int, **_: Any) -> None:
        if (done, total) == (2, 40):
            host.cancel_at = host.checks + 1

    monkeypatch.setattr(host, "update", cancel_after_two)
    with pytest.raises(InterruptProcessingException):
        train(steps=40, checkpoint_every=0)
    folder = host.runs / "small-001"
    identity = json.loads((folder / "run.json").read_text("utf-8"))["identity"]
    (name,) = run_loras(Run(folder, identity))
    assert Path(name).parent == Path("kiln", folder.name)
    assert parse_checkpoints("last 2", [name]) == [name]
