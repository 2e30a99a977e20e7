"""What a kind of network is: its modules with their shapes, and what diffusers calls them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
"""Weight shapes by module path in the model's own naming."""


@dataclass(frozen=True)
class Place:
    """Where a foreign name points: a module, or some of its output rows."""

    module_path: str
    rows: tuple[int, int] | None = None


class Architecture(ABC):
    """A kind of network with its sizes.

    Subclasses are dataclasses whose fields are the sizes.
    """

    @abstractmethod
    def shapes(self) -> dict[str, Shape]:
        """Weight shapes of all modules that have a weight."""

    @classmethod
    @abstractmethod
    def aliases(cls, shapes: Shapes) -> dict[str, Place]:
        """Other names of the modules, derived from the model's own names and shapes.

        Names that diffusers uses come first in each module's list; where a fused module is
        several in diffusers, each name has its rows.
        """


def linear(prefix: str, names: Iterable[str], outputs: int, inputs: int) -> dict[str, Shape]:
    """Several linear layers of one size below a prefix."""
    return {f"{prefix}{name}": (outputs, inputs) for name in names}
