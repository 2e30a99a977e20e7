"""Block weights: lines such as ``mid, out0-out2: rank=32 lr=0.5`` or ``in0-3: off``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..core.errors import ConfigError, shorten

_NAME = re.compile(r"([a-z_]+?)(\d*)$")
_RANGE = re.compile(r"([a-z_]+?)(\d+)-(?:\1)?(\d+)$")
_VALUE = re.compile(r"(rank|alpha|lr)=([0-9.eE+-]+)$")
HIGHEST_RANK = 1024
HIGHEST_BLOCK = 999


@dataclass(frozen=True, kw_only=True)
class BlockRule:
    """What is different in some blocks; None where nothing is.

    Attributes:
        blocks: their labels; ``*`` means every block.
        rank: rank there; 0 leaves the blocks out.
        alpha: alpha there; None keeps the scale of the rest.
        rate: factor on the learning rate.
    """

    blocks: tuple[str, ...]
    rank: int | None = None
    alpha: float | None = None
    rate: float | None = None

    def covers(self, label: str) -> bool:
        """Whether a block is among them; a name without a number means all that begin so."""
        return any(name in ("*", label, label.rstrip("0123456789")) for name in self.blocks)


def read_rules(text: str) -> tuple[BlockRule, ...]:
    """Read block weights.

    Raises:
        ConfigError: names the line.
    """
    lines = [line.strip() for line in text.splitlines()]
    return tuple(_rule(line) for line in lines if line and not line.startswith("#"))


def check_labels(rules: Iterable[BlockRule], known: Iterable[str]) -> None:
    """Refuse rules about blocks that the model does not have.

    Raises:
        ConfigError: with the labels that it has.
    """
    labels = list(dict.fromkeys(known))
    for rule in rules:
        for name in rule.blocks:
            if not any(name in ("*", label, label.rstrip("0123456789")) for label in labels):
                raise ConfigError(
                    f"block_weights speaks of {name}",
                    expected=f"blocks of the connected model: {shorten(labels, 40)}",
                    remedy="Correct the name or leave the line out",
                )


def _rule(line: str) -> BlockRule:
    left, colon, right = line.partition(":")
    words = right.replace(",", " ").split()
    if not colon or not words:
        raise _unreadable(line)
    blocks = tuple(name for word in left.split(",") for name in _blocks(word.strip(), line))
    if words == ["off"]:
        return BlockRule(blocks=blocks, rank=0)
    values: dict[str, float] = {}
    for word in words:
        match = _VALUE.match(word)
        if match is None:
            raise _unreadable(line)
        try:
            values[match[1]] = float(match[2])
        except ValueError as error:
            raise _unreadable(line) from error
    rank = values.get("rank")
    if rank is not None and not (0 <= rank <= HIGHEST_RANK and rank == int(rank)):
        raise _unreadable(line)
    # An alpha of 0 would train nothing and say nothing; that is what "off" is for.
    if not 0 < values.get("alpha", 1) <= 4096 or not 0 <= values.get("lr", 1) <= 4096:
        raise _unreadable(line)
    return BlockRule(
        blocks=blocks,
        rank=None if rank is None else int(rank),
        alpha=values.get("alpha"),
        rate=values.get("lr"),
    )


def _blocks(word: str, line: str) -> list[str]:
    if word == "*":
        return [word]
    span = _RANGE.match(word)
    if span is not None:
        first, last = int(span[2]), int(span[3])
        if not first <= last <= HIGHEST_BLOCK:
            raise _unreadable(line)
        return [f"{span[1]}{number}" for number in range(first, last + 1)]
    if _NAME.match(word) is None:
        raise _unreadable(line)
    return [word]


def _unreadable(line: str) -> ConfigError:
    return ConfigError(
        f"block_weights has the line '{line}'",
        expected="blocks, a colon and what is different there: 'in0-in3: off' or 'mid, out0: "
        f"rank=32 alpha=16 lr=0.5', with ranks from 0 to {HIGHEST_RANK}",
        remedy="Correct the line or leave it out",
    )
