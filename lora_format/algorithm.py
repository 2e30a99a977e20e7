"""What an adapter algorithm is; each file in ``algorithms/`` declares one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from ..core.errors import LoraFormatError
from ..core.registry import declared_objects
from .ir import Layer


@dataclass(frozen=True)
class Origin:
    """What a layer's place in its file says of its factors.

    Attributes:
        by_host: whether it is named as ComfyUI's own trainer names layers.
        scale: by settings outside of the tensors, for factors that show no rank.
    """

    by_host: bool
    scale: float


class Algorithm(ABC):
    """How factors make a change of weight.

    Attributes:
        name: as in :class:`~.ir.Layer`.
        title: what people call it.
        factors: names of all factors that can occur, as the stock loader spells them.
        scaled: whether ``alpha`` scales the change.
        has_alpha: whether files hold an ``alpha``, be it a scale or something else.
        needs_weight: whether the change depends on the weight it changes.
        decomposes: whether magnitudes of weight decomposition (DoRA) may stand beside the factors.
        changes_bias: whether it is the bias that it changes, and not the weight.
        multiplied: whether one factor of zeros makes the whole change zero.
        carriers: factors that a scale can be multiplied into; the first that is there.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    factors: ClassVar[tuple[str, ...]]
    scaled: ClassVar[bool] = True
    has_alpha: ClassVar[bool] = True
    needs_weight: ClassVar[bool] = False
    decomposes: ClassVar[bool] = False
    changes_bias: ClassVar[bool] = False
    multiplied: ClassVar[bool] = True
    carriers: ClassVar[tuple[str, ...]] = ()

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

    def carrier(self, layer: Layer) -> str:
        """Name of the factor that a scale can be multiplied into."""
        return next(name for name in self.carriers if name in layer.factors)

    def times(self, layer: Layer, number: float) -> Layer:
        """The same with one of its factors multiplied by a number, rounded to its dtype."""
        name = self.carrier(layer)
        dtype = layer.factors[name].dtype
        exact = self._multiplied(layer, name, number)
        return replace(exact, factors={**exact.factors, name: exact.factors[name].to(dtype)})

    @staticmethod
    def _multiplied(layer: Layer, name: str, number: float) -> Layer:
        scaled = layer.factors[name].to(torch.float64) * number
        return replace(layer, factors={**layer.factors, name: scaled})

    def at_strength(self, layer: Layer, strength: float) -> Layer:
        """A layer that does at strength 1 what this one does at another; not with decomposition.

        The amount goes into alpha, and only the sign into a factor, so no factor is rounded; where
        alpha does not matter, one factor is multiplied, in float64.

        Args:
            layer: without magnitudes, and not of those with ``needs_weight``.
            strength: as a loader's.
        """
        rank = self.rank(layer)
        if rank is None:
            return self._multiplied(layer, self.carrier(layer), strength)
        signed = layer if strength >= 0 else self.times(layer, -1.0)
        alpha = float(rank) if layer.alpha is None else layer.alpha
        return replace(signed, alpha=alpha * abs(strength))

    def stock_delta(self, layer: Layer, weight: torch.Tensor, strength: float) -> torch.Tensor:
        """What the stock loader adds at a strength, without decomposition; see :meth:`delta`."""
        return self.delta(layer, weight) * strength

    def settled(self, layer: Layer, origin: Origin) -> Layer:
        """What readers of files disagree about, multiplied into the factors.

        Args:
            layer: as the file has it.
            origin: what tells who means what.
        """
        return layer

    def readable(self, layer: Layer) -> Layer:
        """The same change in a form that the stock loader does not break off at."""
        return layer

    def is_weakened(self, layer: Layer, alpha: float) -> bool:
        """Whether the stock loader takes the file's alpha for less than its trainer did.

        Args:
            layer: settled.
            alpha: as it stands in the file.
        """
        return False

    def is_zero(self, layer: Layer) -> bool:
        """Whether it changes nothing, as its factors show without being multiplied."""
        zero = [not bool(factor.any()) for factor in layer.factors.values()]
        return any(zero) if self.multiplied else all(zero)


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
