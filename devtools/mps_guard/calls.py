"""What torch's Python does with devices before any operator runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from .pretend import META, PretendGenerator, PretendTensor, is_mps

Refusal = Callable[[str, str], Exception]

_FROM_NUMBERS = (torch.tensor, torch.as_tensor, torch.asarray)
_TAKES_DEVICE = frozenset({"to", "type"})


class DeviceNames(TorchFunctionMode):
    """Leads ``mps`` to the pretend device, and refuses CUDA and pinned memory.

    Args:
        refusal: makes the error.

    Attributes:
        generator: that of the call in progress. Operators get a bare copy of the object, which
            no longer knows what it pretends to be.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__()
        self._refusal = refusal
        self.generator: Any = None

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """See the class."""
        name = getattr(func, "__name__", str(func))
        kwargs = dict(kwargs or {})
        if name in ("pin_memory", "cuda") or kwargs.get("pin_memory"):
            raise self._refusal(name, _REASONS["cuda" if name == "cuda" else "pin_memory"])
        if "device" in kwargs:
            kwargs["device"] = self._device(name, kwargs["device"])
        named = name in _TAKES_DEVICE
        args = tuple(
            self._device(name, value)
            if isinstance(value, torch.device) or (named and isinstance(value, str))
            else value
            for value in args
        )
        if func in _FROM_NUMBERS and args:
            return self._from_numbers(func, args, kwargs)
        if kwargs.get("generator") is None:
            return func(*args, **kwargs)
        before, self.generator = self.generator, kwargs["generator"]
        try:
            return func(*args, **kwargs)
        finally:
            self.generator = before

    @staticmethod
    def _from_numbers(func: Any, args: Any, kwargs: dict[str, Any]) -> torch.Tensor:
        """Made on the host and moved, as torch itself does for every accelerator."""
        data, *rest = args
        if isinstance(data, (list, tuple)):  # Of single numbers that are read from the device.
            data = tree_map_only(PretendTensor, lambda value: value.inner, data)
        moves = kwargs.get("device") == META
        if moves:
            del kwargs["device"]
        made: torch.Tensor = func(data, *rest, **kwargs)
        return made.to(META) if moves else made

    def _device(self, name: str, device: Any) -> Any:
        if is_mps(device):
            return META
        if str(device).startswith("cuda"):
            raise self._refusal(f"{name} on {device}", _REASONS["cuda"])
        return device


_REASONS = {
    "cuda": "there is no CUDA on a Mac; take the device from the model or a tensor",
    "pin_memory": "on a Mac pinned memory is on mps:0, whatever device was asked for "
    "(pytorch/pytorch#181374), or there is none",
    "autocast": "it does nothing to tensors on mps, without an error; cast by hand",
    "autocast mps": "the guard cannot follow autocast; cast by hand",
    "scaler": "it switches itself off on a Mac, with no more than a warning",
}


def enter_patches(stack: ExitStack, refusal: Refusal) -> None:
    """Replace, for the time of the guard, what a Mac's torch does otherwise."""
    autocast, scaler = torch.amp.autocast_mode.autocast, torch.amp.grad_scaler.GradScaler
    begin_autocast, begin_scaler = autocast.__init__, scaler.__init__

    def autocast_init(self: Any, device_type: str, *args: Any, **kwargs: Any) -> None:
        # Second positional argument after the dtype; switched off it harms nobody.
        enabled = kwargs.get("enabled", args[1] if len(args) > 1 else True)
        if enabled:
            kind = "autocast mps" if device_type == "mps" else "autocast"
            raise refusal(f"autocast('{device_type}')", _REASONS[kind])
        begin_autocast(self, "cpu" if device_type == "mps" else device_type, *args, **kwargs)

    def scaler_init(self: Any, device: str = "cuda", *args: Any, **kwargs: Any) -> None:
        if kwargs.get("enabled", True) and device != "mps":
            raise refusal(f"GradScaler('{device}')", _REASONS["scaler"])
        begin_scaler(self, device, *args, **kwargs)

    def no_cuda() -> None:
        raise refusal("torch.cuda", _REASONS["cuda"])

    def nothing(*_args: Any) -> None: ...

    for owner, name, replacement in (
        (torch, "Generator", PretendGenerator),
        (autocast, "__init__", autocast_init),
        (scaler, "__init__", scaler_init),
        (torch.cuda, "_lazy_init", no_cuda),
        (torch.cuda, "is_available", lambda: False),
        (torch.backends.mps, "is_available", lambda: True),
        (torch.mps, "empty_cache", nothing),
        (torch.mps, "synchronize", nothing),
    ):
        stack.enter_context(mock.patch.object(owner, name, replacement))

