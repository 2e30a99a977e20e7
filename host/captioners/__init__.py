"""Backends that describe pictures, one file each: its object ``CAPTIONER`` offers model names and
opens a model. Everything around it (what is asked, kept, trimmed) is in ``dataset/describe``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...core.errors import HostError
from ...core.registry import declared_objects
from ...dataset.describe.describer import Describer
from .backend import Captioner, Given

__all__ = ["Captioner", "Given", "model_files", "model_names", "opened", "require_model"]


def all_captioners() -> list[Captioner]:
    """The backends in the order in which their models are offered."""
    found = declared_objects(sys.modules[__name__], "CAPTIONER").values()
    return sorted(found, key=lambda one: (one.rank, one.name))


def model_names(roots: list[Path]) -> list[str]:
    """Every model that can be chosen."""
    return [name for one in all_captioners() for name in one.model_names(roots)]


def require_model(name: str, roots: list[Path]) -> None:
    """Check that a model is there and can be used, without loading it.

    Raises:
        HostError: says what is expected where.
    """
    _captioner_of(name, roots).check(name, roots)


def model_files(name: str, roots: list[Path]) -> list[Path]:
    """The files of a model; see ``Captioner.files``."""
    return _captioner_of(name, roots).files(name, roots)


@contextmanager
def opened(name: str, given: Given) -> Iterator[Describer]:
    """A model, ready to be asked; its memory is free again afterwards.

    Raises:
        HostError: there is no such model, or it cannot be used.
    """
    with _captioner_of(name, given.roots).open(name, given) as describer:
        yield describer


def _captioner_of(name: str, roots: list[Path]) -> Captioner:
    for captioner in all_captioners():
        if captioner.owns(name):
            return captioner
    raise HostError(
        f"There is no model {name!r} for descriptions",
        expected=f"one of {', '.join(model_names(roots))}",
        remedy="Press R and choose one from the list",
    )
