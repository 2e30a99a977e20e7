"""In which blocks of the network a LoRA is applied, and how strongly, from one line of text.

=============================== ================================================================
``all``, or nothing             everywhere
``only in4, out0-out2``         there alone; the rest of the LoRA is left out
``not mid, out``                everywhere else (``without`` means the same)
``in=0.5, mid=0, out0-2=1.2``   that much of it there, all of it in the other blocks
``*=0.5, mid=1``                half of it, but all of it in the middle
``only in=0.5, mid``            half of it in the input blocks, all of it in the middle
=============================== ================================================================

Blocks are called as in training (``block_weights``): ``in4``, ``mid``, ``out0``, ``double3``,
``layer7``, and ``other`` for what stands in none. A name without a number means all that begin so
(``in`` or ``in*``), ``in0-in3`` and ``in0-3`` four of them, ``*`` every block. Parts are parted by
commas; where two speak of one block, the later one holds.

A factor multiplies the strength of the LoRA in the network; text encoders have no such blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from ..core.errors import ConfigError, shorten

EVERYWHERE = "all"
HIGHEST_BLOCK = 999
LARGEST_FACTOR = 20.0
"""As far as the strength itself goes."""
LONGEST_MASK = 1000
_MODE = re.compile(r"(only|not|without)\s+(.*)")
_NAME = re.compile(r"(?P<name>[a-z_]+)(?:(?P<number>[0-9]{1,3})|\*)?")
_RANGE = re.compile(
    r"(?P<name>[a-z_]+)(?P<first>[0-9]{1,3})\s*-\s*(?:(?P=name))?(?P<last>[0-9]{1,3})"
)
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})")


@dataclass(frozen=True)
class BlockMask:
    """How much of a LoRA is applied in each block.

    Attributes:
        rules: pairs of a block's label, a label without its number or ``*``, and the factor
            there; the last that covers a block holds.
        rest: factor in blocks that no rule covers.
    """

    rules: tuple[tuple[str, float], ...] = ()
    rest: float = 1.0

    @property
    def is_everywhere(self) -> bool:
        """Whether it changes nothing."""
        return self.rest == 1.0 and all(factor == 1.0 for _, factor in self.rules)

    def factor(self, label: str) -> float:
        """What the strength is multiplied by in a block that is labelled so."""
        names = ("*", label, _unnumbered(label))
        return next((own for name, own in reversed(self.rules) if name in names), self.rest)

    def check(self, labels: Iterable[str]) -> None:
        """Refuse blocks that the model does not have.

        Raises:
            ConfigError: names them, and the labels that the model has.
        """
        known = list(dict.fromkeys(labels))
        covered = {"*", *known, *map(_unnumbered, known)}
        unknown = [name for name in dict.fromkeys(name for name, _ in self.rules)
                   if name not in covered]
        if unknown:
            raise ConfigError(
                f"The block mask speaks of {shorten(unknown)}",
                expected=f"blocks of the connected model: {shorten(known, 40)}",
                remedy="Correct the name or leave it out",
            )


@lru_cache(maxsize=1024)
def read_mask(text: str) -> BlockMask:
    """The mask that a line of text means.

    Raises:
        ConfigError: the part that cannot be read, and how masks are written.
    """
    line = " ".join(text.split()).lower()
    if len(line) > LONGEST_MASK:
        raise _unreadable(f"{line[:40]}…")
    if line in ("", EVERYWHERE):
        return BlockMask()
    mode = _MODE.fullmatch(line)
    if mode is None:
        return BlockMask(tuple(_rules(line, None)))
    if mode[1] == "only":
        return BlockMask(tuple(_rules(mode[2], 1.0)), rest=0.0)
    if "=" in line:
        raise _unreadable(line)  # How much is left out? All of it, or that much?
    return BlockMask(tuple(_rules(mode[2], 0.0)))


def _rules(text: str, usual: float | None) -> Iterator[tuple[str, float]]:
    """Rules of parts such as ``in0-3=0.5``; ``usual`` is for parts that say nothing, if allowed."""
    for part in (piece.strip() for piece in text.split(",")):
        names, equals, number = part.partition("=")
        factor = _factor(number.strip(), part) if equals else usual
        if factor is None:
            raise _unreadable(part)
        for name in _names(names.strip(), part):
            yield name, factor


def _names(text: str, part: str) -> list[str]:
    if text == "*":
        return ["*"]
    if span := _RANGE.fullmatch(text):
        first, last = int(span["first"]), int(span["last"])
        if not first <= last <= HIGHEST_BLOCK:
            raise _unreadable(part)
        return [f"{span['name']}{number}" for number in range(first, last + 1)]
    if match := _NAME.fullmatch(text):
        return [match["name"] + (str(int(match["number"])) if match["number"] else "")]
    raise _unreadable(part)


def _factor(text: str, part: str) -> float:
    if _NUMBER.fullmatch(text) is None or abs(float(text)) > LARGEST_FACTOR:
        raise _unreadable(part)
    return float(text)


def _unnumbered(label: str) -> str:
    return label.rstrip("0123456789")


def _unreadable(part: str) -> ConfigError:
    return ConfigError(
        f"The block mask has {part!r}",
        expected="all, 'only in4, out0-out2', 'not mid', or factors up to "
        f"{LARGEST_FACTOR:g} such as 'in=0.5, mid=0, out0-2=1.2'",
        remedy="Correct it",
    )
