"""What people write to choose LoRAs and checkpoints.

============================== ===================================================================
``my_style``                   a LoRA, with its folder, with or without ``.safetensors``
``styles``                     all LoRAs below this folder
``kiln/my_style-001``          all checkpoints of this run, the finished LoRA last
``*portrait*``                 all whose names have this in them
``kiln/my_style-001: 250, 500``  these steps of this run
``kiln/my_style-00*: last 2``  of each of several runs the last two
``all``                        all that there are
``none``                       the model without LoRA
============================== ===================================================================

Where there is only one run to choose from, as when one is connected, its name may be left out:
``250, 500``, ``first 2``, ``last 3``, ``final``; and ranges as on a numeric axis, ``0..1500/6`` or
``250-1000(+250)``, for the checkpoints that are nearest. Parts are parted by commas, semicolons or
lines; steps belong to the run named last in the same line. A LoRA with a comma in its name stands
alone on its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..core.errors import ConfigError, shorten
from .axis_values import parse_whole_numbers
from .lora_names import NO_LORA, Entry, catalogue, newest
from .name_values import EVERY, counted, folded, is_pattern, matches, unknown_name

WHAT = "The checkpoint axis"
EXAMPLE = "names, a folder, a run such as kiln/my_style-001, or its steps such as last 3"
LARGEST_STEP = 10**9
_END = re.compile(r"(first|last)(?:\s+([0-9]{1,4}))?")
FINAL = "final"
_RANGE_LETTERS = frozenset("0123456789.+-/[]() ")


def parse_checkpoints(text: str, known: Sequence[str]) -> list[str]:
    """The chosen names, in the person's order, each once.

    Args:
        text: what a person wrote.
        known: names as the stock loader lists them; those of one run where a run is connected.

    Raises:
        ConfigError: an unknown name, a step that no checkpoint has, too many values or none.
    """
    choice = _Choice(catalogue(known))
    found = [name for line in text.splitlines() for name in choice.line(line.strip())]
    return counted(found, WHAT, example=EXAMPLE)


class _Choice:
    """Reads lines against the LoRAs that there are."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        # A run's name alone means the whole run, not its finished LoRA.
        self.exact = {folded(e.bare): e for e in reversed(entries) if not e.final}
        self.exact |= {folded(e.name): e for e in entries}

    def line(self, line: str) -> Iterator[str]:
        """The names that a line means."""
        if whole := self.exact.get(folded(line)):
            yield str(whole.name)
            return
        scope: str | None = None
        for part in filter(None, (piece.strip() for piece in re.split("[,;]", line))):
            name, _, steps = (piece.strip() for piece in part.rpartition(":"))
            if name and folded(part) not in self.exact and _speaks_of_steps(steps, name):
                scope, part = name, steps
            if folded(part) not in self.exact and _speaks_of_steps(part, scope):
                for run in self._runs(scope):
                    yield from (str(entry.name) for entry in _chosen(part, run))
            else:
                scope = None
                yield from self._names(part)

    def _names(self, part: str) -> list[str]:
        """Of a part that does not speak of steps."""
        if folded(part) == NO_LORA:
            return [NO_LORA]
        own = newest(self.entries) if folded(part) == EVERY else self._named(part)
        return [str(entry.name) for entry in own]

    def _named(self, part: str) -> list[Entry]:
        """LoRAs of a name, a folder, a run or a pattern."""
        wanted = folded(part).rstrip("/")
        if is_pattern(part):
            own = [e for e in self.entries if matches(e.name, part) or matches(e.bare, part)]
        elif folded(part) in self.exact:
            own = [self.exact[folded(part)]]
        else:
            below = (e for e in self.entries
                     if folded(e.run) == wanted or folded(e.bare).startswith(f"{wanted}/"))
            own = newest(below) if wanted else []
        if not own:
            runs = dict.fromkeys(entry.run for entry in self.entries if entry.run)
            raise unknown_name(part, [*runs, *(str(e.name) for e in self.entries)], WHAT)
        return own

    def _runs(self, scope: str | None) -> list[list[Entry]]:
        """All LoRAs of each run that a choice of steps is about.

        Raises:
            ConfigError: no run, or several where none was named.
        """
        named = self.entries if scope is None else self._named(scope)
        runs: dict[str, list[Entry]] = {folded(e.run): [] for e in named if e.run}
        if not runs or (scope is None and len(runs) > 1):
            shown = shorten(list(dict.fromkeys(e.run for e in named if e.run)))
            raise ConfigError(
                f"{WHAT} speaks of steps, "
                + (f"and there are {len(runs)} runs: {shown}" if runs else "and here is no run"),
                expected="a connected run, or the name of one before the steps",
                remedy="Connect the run output of Train LoRA, or write kiln/my_style-001: 250, 500",
            )
        for entry in self.entries:
            if folded(entry.run) in runs:
                runs[folded(entry.run)].append(entry)
        return [newest(own) for own in runs.values()]


def _speaks_of_steps(part: str, scope: str | None) -> bool:
    """Steps, or all of them where a run was named."""
    word = folded(part)
    number = set(part) <= _RANGE_LETTERS and any(letter.isdigit() for letter in part)
    return number or word == FINAL or bool(_END.fullmatch(word)) or (
        scope is not None and word == EVERY
    )


def _chosen(part: str, run: Sequence[Entry]) -> Sequence[Entry]:
    """The checkpoints of one run that a choice of steps means."""
    word = folded(part)
    if word == EVERY:
        return run
    if word == FINAL:
        if not run[-1].final:
            raise _lacking(part, run)
        return run[-1:]
    if end := _END.fullmatch(word):
        count = int(end[2] or 1)
        if not count:
            raise _lacking(part, run)
        return run[:count] if end[1] == "first" else run[-count:]
    return _nearest(part, run)


def _nearest(part: str, run: Sequence[Entry]) -> list[Entry]:
    """The checkpoint of just this step, or those that are nearest to the steps of a range."""
    steps = {entry.step: entry for entry in run if entry.step is not None}
    wanted = parse_whole_numbers(part, low=0, high=LARGEST_STEP, what=WHAT)
    if not steps or (part.isdigit() and wanted[0] not in steps):
        raise _lacking(part, run)
    nearest = (min(steps, key=lambda step: (abs(step - own), step)) for own in wanted)
    return [steps[step] for step in dict.fromkeys(nearest)]


def _lacking(part: str, run: Sequence[Entry]) -> ConfigError:
    steps = [str(entry.step) for entry in run if entry.step is not None]
    return ConfigError(
        f"{WHAT} has {part!r} of {run[0].run}",
        expected=(f"steps {shorten(steps, 12)}" if steps else "no step")
        + (", and the finished LoRA" if run[-1].final else ", and no finished LoRA"),
        remedy="Choose one of these, or a range such as 0..1500/6 for the nearest checkpoints",
    )
