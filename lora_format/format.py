"""What a file format is; each file in ``formats/`` declares one.

A key is read in two parts. The *suffix* says which factor a tensor is (``.lora_down.weight``), the
rest is a module's name behind a *prefix* that says which network it is in (``lora_te1_``). Real
files mix what different tools write, so a file is read by all formats' prefixes and suffixes at
once; a format's *signature* says whose it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch

from ..core.errors import LoraFormatError
from ..core.registry import declared_objects
from .ir import LoraFile
from .table import ModuleTable


@dataclass(frozen=True)
class Prefix:
    """What stands before a module's name.

    Attributes:
        text: the prefix; its last character tells how the name goes on: ``_`` with underscores,
            ``.`` or nothing with dots.
        component: which network: ``unet``, a text encoder by name, or by number as ``1`` or ``2``.
    """

    text: str
    component: str

    @property
    def is_flat(self) -> bool:
        """Whether the module's name is written with underscores."""
        return self.text.endswith("_")


@dataclass(frozen=True)
class Suffix:
    """How a factor is spelt.

    Attributes:
        pattern: regular expression at the end of the key; a group ``adapter`` names an adapter.
        factor: the factor's name in the in-memory form, ``alpha`` or ``dora_scale``.
    """

    pattern: str
    factor: str


@dataclass(frozen=True)
class Written:
    """What a writer makes.

    Attributes:
        tensors: by key.
        metadata: strings for the header, besides those that every file gets.
        beside: JSON files to stand beside the LoRA, by name.
    """

    tensors: dict[str, torch.Tensor]
    metadata: dict[str, str] = field(default_factory=dict)
    beside: dict[str, Any] = field(default_factory=dict)


Writer = Callable[[LoraFile, ModuleTable], Written]


@dataclass(frozen=True, kw_only=True)
class Format:
    """A file format.

    Attributes:
        name: short name, as in ``--to``.
        title: what people call it.
        example: one of its keys, for messages and help.
        signature: some key matches this regular expression …
        without: … and none matches this.
        prefixes: before modules' names.
        suffixes: behind them.
        write: makes such a file, where we write it.
    """

    name: str
    title: str
    example: str
    signature: str
    without: str = ""
    prefixes: tuple[Prefix, ...] = ()
    suffixes: tuple[Suffix, ...] = ()
    write: Writer | None = field(default=None, compare=False)

    def recognises(self, keys: Collection[str]) -> bool:
        """Whether a file with these keys is of this format."""
        wanted = re.compile(self.signature)
        if not any(wanted.search(key) for key in keys):
            return False
        barred = re.compile(self.without) if self.without else None
        return barred is None or not any(barred.search(key) for key in keys)


@dataclass(frozen=True)
class Part:
    """A key taken apart.

    Attributes:
        stem: the module's name with its prefix.
        factor: which tensor of the module.
        adapter: PEFT's name of the adapter, if the key has one.
    """

    stem: str
    factor: str
    adapter: str = ""


def formats() -> Mapping[str, Format]:
    """Every format by name."""
    from . import formats as package

    return declared_objects(package, "FORMAT")


def formats_of(keys: Collection[str]) -> list[Format]:
    """The formats whose signature fits; one, unless a file mixes what several tools write."""
    return [item for item in formats().values() if item.recognises(keys)]


def writer(name: str) -> Writer:
    """The writer of a format.

    Raises:
        LoraFormatError: we do not write it.
    """
    found = formats().get(name)
    if found is None or found.write is None:
        known = ", ".join(item.name for item in formats().values() if item.write)
        raise LoraFormatError(
            f"'{name}' is asked for as the format to write",
            expected=f"one of {known}",
            remedy="Choose kohya for ComfyUI",
        )
    return found.write


def split_key(key: str) -> Part | None:
    """Take a key apart; None if no format knows its end."""
    for pattern, factor in _suffixes():
        match = pattern.search(key, 1)
        if match:
            adapter = match.groupdict().get("adapter") or ""
            return Part(key[: match.start()], factor, adapter)
    return None


@cache
def _suffixes() -> tuple[tuple[re.Pattern[str], str], ...]:
    found: dict[str, str] = {}
    for item in formats().values():
        for suffix in item.suffixes:
            twin = found.setdefault(suffix.pattern, suffix.factor)
            if twin != suffix.factor:
                raise RuntimeError(f"{suffix.pattern} is both {twin} and {suffix.factor}")
    ordered = sorted(found.items(), key=lambda item: -len(item[0]))
    return tuple((re.compile(rf"(?:{text})\Z"), factor) for text, factor in ordered)


@cache
def prefixes() -> tuple[Prefix, ...]:
    """All formats' prefixes, the longest first."""
    found = {prefix for item in formats().values() for prefix in item.prefixes}
    return tuple(sorted(found, key=lambda prefix: (-len(prefix.text), prefix.component)))
