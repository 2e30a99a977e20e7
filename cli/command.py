"""What a command is; each file in this folder declares one."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..core.errors import KilnError
from ..core.registry import declared_objects

S = TypeVar("S")
LARGEST_HELP = 78


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        name: the word behind ``kiln.py``.
        help: what it does, in a line.
        arguments: adds its arguments to a parser.
        run: does it; returns the exit status.
    """

    name: str
    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def commands() -> Mapping[str, Command]:
    """Every command by name."""
    from .. import cli as package

    return declared_objects(package, "COMMAND")


def add_settings(parser: argparse.ArgumentParser, kind: type[Any]) -> None:
    """An option for each field of a settings dataclass, with its own explanation."""
    for item in dataclasses.fields(kind):
        name = "--" + item.name.replace("_", "-")
        doc = str(item.metadata["doc"]).replace("%", "%%")
        if isinstance(item.default, bool):
            parser.add_argument(name, action=argparse.BooleanOptionalAction,
                                default=item.default, help=doc)
            continue
        default = None if item.default is MISSING else item.default
        parser.add_argument(
            name, default=default, type=type(default) if default is not None else str,
            choices=item.metadata.get("choices"), help=doc,
        )


def settings_of(kind: type[S], arguments: argparse.Namespace) -> S:
    """The settings that were given on the command line."""
    names = [item.name for item in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: getattr(arguments, name) for name in names})


def files_of(patterns: Iterable[str]) -> list[Path]:
    """Files behind names, folders (their .safetensors) and globs, in order.

    Raises:
        KilnError: a name leads to nothing.
    """
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            files = sorted(path.rglob("*.safetensors"))
        elif any(mark in pattern for mark in "*?["):
            anchor = Path(path.anchor)
            found_here = (anchor or Path()).glob(str(path.relative_to(anchor)))
            files = sorted(file for file in found_here if file.is_file())
        else:
            files = [path] if path.exists() else []
        if not files:
            raise KilnError(
                f"{pattern} leads to no file",
                expected="a LoRA file, a folder with some, or a pattern (loras/*.safetensors)",
                remedy="Check the name",
            )
        found += [file for file in files if file not in found]
    return found
