"""What an adapter algorithm is; each file in ``algorithms/`` declares one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch

from ..core.errors import LoraFormatError
from ..core.registry import declared_objects
from .ir import Layer


class Algorithm(ABC):
    """How factors make a change of weight.

    Attributes:
        name: as in :class:`~.ir.Layer`.
        title: what people call it.
        factors: names of all factors that can occur, as the stock loader spells them.
        scaled: whether ``alpha`` scales the change.
        needs_weight: whether the change depends on the weight it changes.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    factors: ClassVar[tuple[str, ...]]
    scaled: ClassVar[bool] = True
    needs_weight: ClassVar[bool] = False

    @abstractmethod
    def is_complete(self, factors: Mapping[str, torch.Tensor]) -> bool:
        """Whether these factors suffice; only names and numbers of dimensions count."""

    @abstractmethod
    def shape(self, layer: Layer) -> tuple[int, int]:
        """Sizes of the change as a matrix: (outputs, inputs times kernel positions).

        Raises:
            ValueError: the factors do not fit each other; the text says which.
        """

    @abstractmethod
    def rank(self, layer: Layer) -> int | None:
        """What alpha is divided by; None where alpha does not matter."""

    @abstractmethod
    def delta(self, layer: Layer, weight: torch.Tensor | None = None) -> torch.Tensor:
        """The change at strength 1 without weight decomposition, as a float64 matrix.

        Args:
            layer: the factors.
            weight: (out, in, …) what is changed; only for those with ``needs_weight``.
        """

    def low_rank(self, layer: Layer) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The change as (out, r) @ (r, in) in float64, where the algorithm has such a form."""
        return None

    def expanded(self, layer: Layer) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Like :meth:`low_rank`, also where the inner size is a product of ranks.

        None where there is no such form, or it takes no less than the whole change.
        """
        return self.low_rank(layer)

    def norm(self, layer: Layer) -> float | None:
        """Frobenius norm of the change, where it follows from the factors' own; else None."""
        return None

    def scale(self, layer: Layer) -> float:
        """``alpha / rank``, and 1 where alpha does not matter."""
        rank = self.rank(layer)
        if layer.alpha is None or not rank:
            return 1.0
        return layer.alpha / rank


def algorithms() -> dict[str, Algorithm]:
    """Every algorithm by name."""
    from . import algorithms as package

    return declared_objects(package, "ALGORITHM")


def algorithm_of(layer: Layer) -> Algorithm:
    """The algorithm of a layer.

    Raises:
        LoraFormatError: there is none of that name.
    """
    found = algorithms().get(layer.algorithm)
    if found is None:
        raise LoraFormatError(
            f"{layer.target} uses the algorithm '{layer.algorithm}'",
            expected=f"one of {', '.join(algorithms())}",
            remedy="Ask the file's maker for a plain LoRA",
        )
    return found


def saves_memory(rank: int, shape: tuple[int, int]) -> bool:
    """Whether two factors of this inner size hold fewer numbers than their product."""
    return rank * (shape[0] + shape[1]) < shape[0] * shape[1]


def matrix(factor: torch.Tensor) -> torch.Tensor:
    """A factor in float64 with all dimensions after the first flattened: (n, rest)."""
    return factor.to(torch.float64).flatten(1)


def check_filled(layer: Layer) -> None:
    """Raise ``ValueError`` for a factor that holds nothing."""
    for name, factor in layer.factors.items():
        if not factor.numel():
            raise ValueError(f"{name} is empty")


def check_kernel(name: str, core: torch.Tensor) -> None:
    """Raise ``ValueError`` unless a core has a kernel behind its two sizes."""
    if core.ndim < 3:
        raise ValueError(f"{name} has no kernel")


def check_sizes(what: str, found: int, expected: int) -> None:
    """Raise ``ValueError`` unless two sizes that must agree do."""
    if found != expected:
        raise ValueError(f"{what} is {found}, not {expected}")
