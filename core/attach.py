"""The one mechanism that puts something beside a frozen module and takes it away again.

Training, previews and sweeps all attach through here. Whatever happens in between, every
``forward``, parameter, flag and attribute stands afterwards as it stood before: entries are
undone in reverse order, and one that fails does not keep the others from being undone.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
from torch import nn

_ABSENT = object()


class Attachment:
    """A set of temporary changes to objects, undone on exit.

    Use as a context manager. :meth:`restore` may be called early and is idempotent.
    """

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def __enter__(self) -> Attachment:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.restore()

    def on_restore(self, undo: Callable[[], None]) -> None:
        """Register something to be done on the way back."""
        self._undo.append(undo)

    def set_attribute(self, target: Any, name: str, value: Any) -> None:
        """Set an instance attribute; on restore the old one returns, or it is deleted again."""
        before = vars(target).get(name, _ABSENT)

        def undo() -> None:
            if before is _ABSENT:
                if name in vars(target):
                    delattr(target, name)
            else:
                setattr(target, name, before)

        self._undo.append(undo)
        setattr(target, name, value)

    def replace_forward(self, module: nn.Module, forward: Callable[..., Any]) -> None:
        """Let the module compute through another function, leaving the module tree untouched."""
        # Into __dict__ and not through setattr: nn.Module.__setattr__ is for modules and tensors.
        before = module.__dict__.get("forward", _ABSENT)

        def undo() -> None:
            if before is _ABSENT:
                module.__dict__.pop("forward", None)
            else:
                module.__dict__["forward"] = before

        self._undo.append(undo)
        module.__dict__["forward"] = forward

    def replace_tensor(self, module: nn.Module, name: str, tensor: torch.Tensor) -> None:
        """Swap a parameter or buffer for another tensor; the original object comes back."""
        table = _tensor_table(module, name)
        before = table[name]
        self._undo.append(lambda: table.__setitem__(name, before))
        table[name] = tensor

    def set_training(self, module: nn.Module, mode: bool) -> None:
        """Set the ``training`` flag of one module without touching its children."""
        before = module.training
        self._undo.append(lambda: setattr(module, "training", before))
        module.training = mode

    def restore(self) -> None:
        """Undo everything, newest first; the first failure is raised after the last undo."""
        failure: BaseException | None = None
        while self._undo:
            undo = self._undo.pop()
            try:
                undo()
            except BaseException as error:
                failure = failure or error
        if failure is not None:
            raise failure


def _tensor_table(module: nn.Module, name: str) -> dict[str, Any]:
    if name in module._parameters:
        return module._parameters
    if name in module._buffers:
        return module._buffers
    raise KeyError(f"{type(module).__name__} has no parameter or buffer '{name}'")


def autograd_alias(tensor: torch.Tensor) -> torch.Tensor:
    """An ordinary tensor over the memory of an inference tensor; no copy is made.

    Weights that ComfyUI's nodes load are inference tensors, which autograd refuses to save.
    Call outside ``torch.inference_mode``.
    """
    alias = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
    alias.set_(tensor.untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride())
    return alias
