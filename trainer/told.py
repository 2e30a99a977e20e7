"""What the documentation says of an objective, a density, a weighting or a loss."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Told:
    """One row of a table in ``docs/objectives.md``.

    Attributes:
        formula: in plain characters.
        source: paper or program it comes from.
        elsewhere: other trainers that have it.
        use: when to choose it.
    """

    formula: str
    source: str
    elsewhere: str
    use: str
