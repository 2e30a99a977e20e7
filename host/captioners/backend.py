"""What a backend for descriptions declares."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ...core.protocols import Progress
from ...dataset.describe.describer import Describer


@dataclass(frozen=True)
class Given:
    """What a backend may use.

    Attributes:
        roots: folders with language models, ``models/LLM`` and its like.
        clip: the CLIP that is connected to the node, or None.
        progress: hears Cancel, and tells the person.
    """

    roots: list[Path]
    clip: Any
    progress: Progress


class Captioner(Protocol):
    """A kind of model that describes pictures."""

    name: str
    rank: int
    """Lower ones are offered first."""

    def model_names(self, roots: list[Path]) -> list[str]:
        """Names to choose from, without importing or loading anything large."""

    def owns(self, name: str) -> bool:
        """Whether a name is one of this backend's, be the model there or not."""

    def check(self, name: str, roots: list[Path]) -> None:
        """Look whether a model can be used, without loading it.

        Raises:
            HostError: it is not there, or cannot be used; says why.
        """

    def files(self, name: str, roots: list[Path]) -> list[Path]:
        """The model's files, to notice that they were exchanged; none where there are none.

        Raises:
            HostError: see :meth:`check`.
        """

    def open(self, name: str, given: Given) -> AbstractContextManager[Describer]:
        """A model, loaded when it is first asked and let go at the end.

        Raises:
            HostError: see :meth:`check`; or something that it needs is not connected.
        """
