"""The shortlist in words."""

from __future__ import annotations

from collections.abc import Sequence

from .cells import SweepPlan
from .ink import short_text
from .pareto import Candidate, Choice
from .score import scores
from .score_picture import settings_label


def report_lines(plan: SweepPlan, choice: Choice, notes: Sequence[str]) -> list[str]:
    """One line per setting of the shortlist, then the notes."""
    known = scores()
    lines = []
    if choice.goals:
        titles = ", ".join(known[goal].title.lower() for goal in choice.goals)
        lines.append(
            f"{len(choice.front)} of {len(choice.candidates)} settings are on the Pareto front of "
            f"{titles}. Shortlist, the most balanced first:"
        )
    for number, own in enumerate(choice.shortlist, start=1):
        lines.append(f"{number}. {settings_label(plan, own.cells[0])}: {_figures(own)}")
    return [*lines, *notes]


def _figures(own: Candidate) -> str:
    known = scores()
    parts = [
        f"{known[goal].title.lower()} {short_text(mean)}"
        + (f" ± {short_text(own.spreads[goal])}" if len(own.cells) > 1 else "")
        for goal, mean in own.means.items()
    ]
    cells = ", ".join(map(str, own.cells))
    return f"{', '.join(parts)} (cell{'s' if len(own.cells) > 1 else ''} {cells})"
