"""Two connected MODELs parameter by parameter, as ComfyUI would use their weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import comfy.lora
import comfy.model_management
import comfy.model_patcher
import torch

from ..core.errors import LoraFormatError
from ..lora_format.base import SCALED
from ..lora_format.compare import BIAS, WEIGHT, Compared
from ..lora_format.family import families
from ..lora_format.ir import NETWORK, Target
from ..lora_format.read import Base
from .base import ConnectedBase, connected_base, unpatched

ROOM_BYTES = 2 << 30
"""Freed on the accelerator for one module, its difference and the decomposition."""


@dataclass(frozen=True)
class ConnectedModels:
    """A changed model beside the one it was made of.

    Attributes:
        tuned: the changed one, with its patches.
        original: the other, with its patches.
    """

    tuned: ConnectedBase
    original: ConnectedBase

    @classmethod
    def of(cls, tuned: tuple[Any, Any], original: tuple[Any, Any]) -> ConnectedModels:
        """Of MODEL and CLIP (or None) of both.

        Raises:
            LoraFormatError: a model is of no known family, or they are of two.
        """
        found = cls(connected_base(*tuned), connected_base(*original))
        one, two = (families()[base.base.family].title for base in (found.tuned, found.original))
        if one != two:
            raise LoraFormatError(
                f"The tuned model is {one}, and the original one is {two}",
                expected="two models of one kind",
                remedy="Connect the model that the tuned one was made of",
            )
        return found

    @property
    def base(self) -> Base:
        """The model that the LoRA is for."""
        return self.original.base

    def __len__(self) -> int:
        """How many pairs there are."""
        return sum(1 for _ in self._places())

    def __iter__(self) -> Iterator[Compared]:
        """All parameters that both have, one pair after the other."""
        for target, kind in self._places():
            yield self._pair(target, kind)

    def _pair(self, target: Target, kind: str) -> Compared:
        key = _key(target, kind)
        one, two = (value_of(_patcher(base, target), key) for base in (self.tuned, self.original))
        if one.dtype != two.dtype and self._is_patched(target, key):
            # What is patched is exact in fp32; the other is no rounding of it.
            one, two = one.to(torch.float32), two.to(torch.float32)
        return Compared(target, one, two, kind)

    def uncomparable(self) -> list[str]:
        """Parameters that only one has, or that belong to no module and differ."""
        one, two = (
            {name for name, _ in base.model.model.diffusion_model.named_parameters()
             if not SCALED.search(name)}  # Scales are in the values that are compared.
            for base in (self.tuned, self.original)
        )
        found = [f"{name} is only in one of the models" for name in sorted(one ^ two)]
        for name in sorted(one & two):
            if not name.endswith((".weight", ".bias")) and self._differ(f"diffusion_model.{name}"):
                found.append(f"{name} differs and is no module's")
        return found

    def _differ(self, key: str) -> bool:
        one, two = (value_of(base.model, key).to(torch.float32)
                    for base in (self.tuned, self.original))
        return one.shape != two.shape or not torch.equal(one.to(two.device), two)

    def _is_patched(self, target: Target, key: str) -> bool:
        return any(key in _patcher(base, target).patches for base in (self.tuned, self.original))

    def _places(self) -> Iterator[tuple[Target, str]]:
        components = list(self.base.table.networks)
        if self.tuned.clip is None or self.original.clip is None:
            components = [NETWORK]
        for component in components:
            for path in self.base.table[component].shapes:
                for kind in (WEIGHT, BIAS):
                    target = Target(component, path)
                    if all(_has(_patcher(base, target), _key(target, kind))
                           for base in (self.tuned, self.original)):
                        yield target, kind


def value_of(patcher: comfy.model_patcher.ModelPatcher, key: str) -> torch.Tensor:
    """A parameter as the model would use it: dequantised, and with its patches."""
    value = unpatched(patcher, key)
    if key not in patcher.patches:
        return value
    device = compute_device()
    whole = value.to(device, torch.float32, copy=True)
    changed: torch.Tensor = comfy.lora.calculate_weight(patcher.patches[key], whole, key)
    return changed


def compute_device() -> torch.device:
    """Where decompositions are computed, with some room made there."""
    device: torch.device = comfy.model_management.get_torch_device()
    if device.type != "cuda":
        return torch.device("cpu")  # Others lack decompositions.
    comfy.model_management.free_memory(ROOM_BYTES, device)
    return device


def _key(target: Target, kind: str) -> str:
    prefix = "diffusion_model" if target.component == NETWORK else f"{target.component}.transformer"
    return f"{prefix}.{target.module_path}.{kind}"


def _patcher(base: ConnectedBase, target: Target) -> comfy.model_patcher.ModelPatcher:
    return base.model if target.component == NETWORK else base.clip.patcher


def _has(patcher: comfy.model_patcher.ModelPatcher, key: str) -> bool:
    value: Any = patcher.model
    for name in key.split("."):
        value = getattr(value, name, None)
    return isinstance(value, torch.Tensor)
