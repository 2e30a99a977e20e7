"""Names of LoRAs as the stock loader lists them, and what they tell about training runs.

Training publishes ``kiln/my_style-001/step_000250.safetensors`` for every checkpoint and
``kiln/my_style-001.safetensors`` for the finished LoRA. Where a resumed run came to other numbers,
``-v2`` and so on stands behind the name (``lora_format/published``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .name_values import folded, natural_key

NO_LORA = "none"
"""Value of an axis that stands for the model alone; no file has a name without a suffix."""
NO_LORA_LABEL = "no LoRA"
_SUFFIX = re.compile(r"\.(safetensors|sft|pt|pth|bin|ckpt|pkl|pt2)$", re.IGNORECASE)
_VERSION = re.compile(r"-v([0-9]{1,9})$")
_STEP = re.compile(r"(?P<run>.+)/step_(?P<step>[0-9]{1,18})", re.IGNORECASE)
_PAST_ALL = 10**19


class LoraName(str):
    """A finished LoRA's name, with the step at which its run ended: the name does not tell it.

    Attributes:
        step: the run's last step.
    """

    step: int

    def __new__(cls, name: str, step: int) -> LoraName:
        """The name itself is what the loader lists."""
        made = super().__new__(cls, name)
        made.step = step
        return made


@dataclass(frozen=True)
class Entry:
    """One LoRA of the list.

    Attributes:
        name: as the loader lists it.
        bare: the same with plain slashes and without suffix.
        path: the same without version.
        version: 1, or what stands behind ``-v``.
        run: of which training run it is, as a path; empty for none.
        step: after how many steps; None where nothing tells it.
        final: whether it is what the run ended with.
    """

    name: str
    bare: str
    path: str
    version: int
    run: str = ""
    step: int | None = None
    final: bool = False

    @property
    def order(self) -> tuple[Any, ...]:
        """Folder by folder, runs by their steps, the finished LoRA last."""
        folder, _, own = self.path.rpartition("/")
        if self.run:
            step = _PAST_ALL if self.final or self.step is None else self.step
            return natural_key(self.run), step, [], self.version
        return natural_key(folder), -1, natural_key(own), self.version


def catalogue(known: Iterable[str]) -> list[Entry]:
    """What the names tell, in natural order."""
    names = list(dict.fromkeys(known))
    split = {name: _split(name) for name in names}
    runs = {folded(match["run"]) for _, path, _ in split.values()
            if (match := _STEP.fullmatch(path))}
    return sorted((_entry(name, split[name], runs) for name in names), key=lambda own: own.order)


def newest(entries: Iterable[Entry]) -> list[Entry]:
    """Of each step of each run the newest version, and the finished LoRA for its own step."""
    kept: dict[Any, Entry] = {}
    for entry in sorted(entries, key=lambda own: (own.final, own.version)):
        place = entry.step if entry.step is not None else "final" if entry.final else entry.name
        kept[(folded(entry.run), place) if entry.run else entry.name] = entry
    return sorted(kept.values(), key=lambda own: own.order)


def lora_labels(values: Sequence[str]) -> list[str]:
    """Short names that tell the values of one axis apart.

    ``kiln/my_style-001/step_000250.safetensors`` is ``my_style-001 step 250``, and ``step 250``
    among others of the same run. Only where two would be the same their folders are named, too.
    """
    entries = {own.name: own for own in catalogue(value for value in values if value != NO_LORA)}
    one_run = len(entries) > 1 and len({own.run for own in entries.values()} | {""}) == 2
    alone = (_step,) if one_run and all(own.run for own in entries.values()) else ()
    for shown in (*alone, _short, _with_folders, _whole):
        labels = [NO_LORA_LABEL if v == NO_LORA else shown(entries[v]) for v in values]
        if len({label.casefold() for label in labels}) == len(values):
            return labels
    return list(values)


def _split(name: str) -> tuple[str, str, int]:
    """Path without suffix, without version, and the version."""
    bare = _SUFFIX.sub("", name.replace("\\", "/"))
    match = _VERSION.search(bare)
    return (bare, bare[: match.start()], int(match[1])) if match else (bare, bare, 1)


def _entry(name: str, split: tuple[str, str, int], runs: set[str]) -> Entry:
    if match := _STEP.fullmatch(split[1]):
        return Entry(name, *split, match["run"], int(match["step"]))
    if isinstance(name, LoraName):
        return Entry(name, *split, split[1], name.step, final=True)
    if folded(split[1]) in runs:
        return Entry(name, *split, split[1], final=True)
    return Entry(name, *split)


def _step(entry: Entry) -> str:
    return _label(entry, "", "").strip()


def _short(entry: Entry) -> str:
    return _label(entry, entry.run.rpartition("/")[2], entry.path.rpartition("/")[2])


def _with_folders(entry: Entry) -> str:
    return _label(entry, entry.run, entry.path)


def _whole(entry: Entry) -> str:
    return str(entry.name)


def _label(entry: Entry, run: str, path: str) -> str:
    version = f" v{entry.version}" if entry.version > 1 else ""
    if not entry.run:
        return f"{path}{version}"
    return f"{run} {'final' if entry.final else f'step {entry.step}'}{version}"
