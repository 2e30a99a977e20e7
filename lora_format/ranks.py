"""Ranks of their own for some modules, as a person writes them: ``attn2=8; ff=4``.

Patterns come with graphs from strangers, so they are no regular expressions, which can take for
ever: a pattern is a piece of the name, and ``*`` in it stands for anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..core.errors import ConfigError
from .ir import Target

LARGEST_RANK = 4096
LONGEST = 4000
"""Characters of the whole list."""


@dataclass(frozen=True)
class Ranks:
    """Ranks by pattern; the first pattern that is found in a module's name counts.

    Attributes:
        patterns: what stands between the stars, with the rank.
    """

    patterns: tuple[tuple[tuple[str, ...], int], ...] = ()

    def rank(self, target: Target) -> int | None:
        """The rank for a module, if one is named."""
        name = f"{target.component}.{target.module_path}"
        return next((rank for pieces, rank in self.patterns if _is_in(pieces, name)), None)


def parse_ranks(text: str) -> Ranks:
    """Read such a list.

    Args:
        text: ``PATTERN=RANK``, one in a line or with semicolons between.

    Raises:
        ConfigError: an entry has no pattern or no rank.
    """
    if len(text) > LONGEST:
        raise _wrong(f"The list of ranks has {len(text)} characters")
    found = []
    for entry in filter(None, map(str.strip, re.split(r"[;\n]", text))):
        pattern, _, rank = entry.rpartition("=")
        pattern, rank = pattern.strip(), rank.strip()
        known = rank.isascii() and rank.isdigit() and len(rank) < 9
        if not pattern or not known or not 1 <= int(rank) <= LARGEST_RANK:
            raise _wrong(f"The list of ranks has the entry {entry[:60]!r}")
        found.append((tuple(pattern.split("*")), int(rank)))
    return Ranks(tuple(found))


def _is_in(pieces: tuple[str, ...], name: str) -> bool:
    """Whether the pieces stand in a name one behind the other; takes time linear in the name."""
    position = 0
    for piece in pieces:
        start = name.find(piece, position)
        if start < 0:
            return False
        position = start + len(piece)
    return True


def _wrong(found: str) -> ConfigError:
    return ConfigError(
        found,
        expected=f"PATTERN=RANK with a rank from 1 to {LARGEST_RANK}, and ; between entries, such "
        "as attn2=8; output_blocks*ff=4",
        remedy="Correct the entry, or leave the list empty for one rank everywhere",
    )
