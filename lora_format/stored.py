"""How checkpoints keep a model's parameters, where that is not as the model names them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Stored:
    """Where a parameter lies.

    Attributes:
        key: of the tensor.
        third: which third of its rows; None for all.
        transposed: whether rows and columns are swapped.
    """

    key: str
    third: int | None = None
    transposed: bool = False


def as_named(module_path: str, name: str) -> Stored | None:
    """A parameter under its own name."""
    return Stored(f"{module_path}.{name}")


@dataclass(frozen=True)
class Layout:
    """How a checkpoint keeps one component.

    Attributes:
        prefix: what stands before its keys.
        stored: where a parameter lies behind it, by module path and ``weight`` or ``bias``; None
            for one that it has not.
    """

    prefix: str
    stored: Callable[[str, str], Stored | None] = as_named
