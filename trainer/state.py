"""Checkpoints: everything needed to go on as if nothing had happened. No pickle anywhere.

A checkpoint is a folder ``step_000250`` with ``adapter.safetensors``, ``optimizer.safetensors``
and ``state.json``. The JSON is written last and carries the hashes of the other two: a folder
without it, or with another hash, does not count and the one before is taken.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ..core import atomic
from ..core.errors import StateError
from ..lora_format.published import file_sha256
from .adapter import LoraAdapter
from .scaling import LossScale

STATE_VERSION = 1
KEPT_STATES = 2


@dataclass
class TrainState:
    """What changes while training.

    Attributes:
        step: updates done so far, skipped ones included.
        adapter: the trainable factors.
        optimizer: AdamW over ``adapter.parameters()``.
        schedule: the learning rate schedule.
        scale: the loss scale.
        bad_steps: steps in a row whose gradient was no number.
    """

    step: int
    adapter: LoraAdapter
    optimizer: torch.optim.Optimizer
    schedule: Any
    scale: LossScale
    bad_steps: int = 0

    def save(self, folder: Path) -> Path:
        """Write a checkpoint into ``folder/step_N`` and drop the oldest states."""
        target = folder / f"step_{self.step:06d}"
        existing = read_state_json(target)
        if existing is not None and _intact(target, existing):
            return target
        target.mkdir(parents=True, exist_ok=True)
        atomic.write_tensors(target / "adapter.safetensors", self.adapter.state())
        atomic.write_tensors(target / "optimizer.safetensors", self._optimizer_tensors())
        names = ("adapter.safetensors", "optimizer.safetensors")
        atomic.write_json(
            target / "state.json",
            {
                "version": STATE_VERSION,
                "step": self.step,
                "schedule": _plain(self.schedule.state_dict()),
                "learning_rates": [group["lr"] for group in self.optimizer.param_groups],
                "scale": asdict(self.scale),
                "bad_steps": self.bad_steps,
                "sha256": {name: file_sha256(target / name) for name in names},
            },
        )
        drop_old_states(folder)
        return target

    def load(self, checkpoint: Path) -> None:
        """Become the state of a checkpoint that :func:`latest_checkpoint` found.

        Raises:
            StateError: its tensors do not fit this adapter.
        """
        from safetensors.torch import load_file

        values = json.loads((checkpoint / "state.json").read_text("utf-8"))
        factors = load_file(checkpoint / "adapter.safetensors")
        self._check_fit(factors, checkpoint)
        self.adapter.load(factors)
        self._load_optimizer(load_file(checkpoint / "optimizer.safetensors"))
        for group, rate in zip(
            self.optimizer.param_groups, values["learning_rates"], strict=True
        ):
            group["lr"] = rate
        self.schedule.load_state_dict({**self.schedule.state_dict(), **values["schedule"]})
        self.scale = LossScale(**values["scale"])
        self.step, self.bad_steps = values["step"], values["bad_steps"]

    def _check_fit(self, factors: Mapping[str, torch.Tensor], checkpoint: Path) -> None:
        wanted = {name: tuple(p.shape) for name, p in self.adapter.named_parameters()}
        found = {name: tuple(value.shape) for name, value in factors.items()}
        if wanted != found:
            odd = sorted(set(wanted.items()) ^ set(found.items()))[0][0]
            raise StateError(
                f"The checkpoint {checkpoint.name} differs at {odd}",
                expected="factors of the same modules and rank as this run trains",
                remedy="Start under another run name",
            )

    def _optimizer_tensors(self) -> dict[str, torch.Tensor]:
        tensors: dict[str, torch.Tensor] = {}
        for name, parameter in self.adapter.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"{name}/{key}"] = torch.as_tensor(value).detach().cpu().clone()
        return tensors

    def _load_optimizer(self, tensors: Mapping[str, torch.Tensor]) -> None:
        parameters = dict(self.adapter.named_parameters())
        self.optimizer.state.clear()
        for name, value in tensors.items():
            path, key = name.rsplit("/", 1)
            parameter = parameters[path]
            # AdamW keeps its step counter on the CPU, unless one kernel does the whole update.
            beside = key != "step" or self.optimizer.param_groups[0].get("fused")
            device = parameter.device if beside else torch.device("cpu")
            self.optimizer.state[parameter][key] = value.to(device, copy=True)


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint that still has its optimizer state, if any."""
    for path in sorted(folder.glob("step_*"), reverse=True):
        values = read_state_json(path)
        if values is not None and _intact(path, values):
            return path
    return None


def read_state_json(checkpoint: Path) -> dict[str, Any] | None:
    """The commit marker of a checkpoint, or None where there is none of this version."""
    try:
        values: dict[str, Any] = json.loads((checkpoint / "state.json").read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return values if values.get("version") == STATE_VERSION else None


def _intact(checkpoint: Path, values: Mapping[str, Any]) -> bool:
    for name, sha256 in values["sha256"].items():
        path = checkpoint / name
        if not path.is_file() or file_sha256(path) != sha256:
            return False
    return True


def drop_old_states(folder: Path) -> None:
    """Keep the newest states only; two, so that a damaged newest one has a fallback.

    The published LoRA of every checkpoint stays: it is what people compare.
    """
    whole = [path for path in sorted(folder.glob("step_*")) if read_state_json(path)]
    for path in whole[:-KEPT_STATES]:
        shutil.rmtree(path)


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """The schedule's counters; its functions are rebuilt from the settings."""
    return {
        key: value
        for key, value in state.items()
        if isinstance(value, (int, float, bool))
        or (isinstance(value, list) and all(isinstance(v, (int, float)) for v in value))
    }
