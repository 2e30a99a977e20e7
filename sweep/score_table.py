"""The scores as columns beside the sweep's own table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .pareto import Candidate, Choice
from .score import Scored, scores


def scored_rows(
    rows: Sequence[Mapping[str, Any]], found: Mapping[str, Scored], choice: Choice
) -> list[dict[str, Any]]:
    """The sweep's rows with a column per score and detail; absent values are None.

    ``on_front`` and ``shortlist`` (1 is listed first) speak of the cell's settings.
    """
    front = {index for candidate in choice.front for index in candidate.cells}
    listed = {
        index: number
        for number, candidate in enumerate(choice.shortlist, start=1)
        for index in candidate.cells
    }
    return [
        {
            **row,
            **_columns(row["cell"], found),
            "on_front": row["cell"] in front,
            "shortlist": listed.get(row["cell"]),
        }
        for row in rows
    ]


def score_columns(found: Mapping[str, Scored]) -> list[str]:
    """Names of all columns that the scores add, each score before its details."""
    names = []
    for name, scored in found.items():
        names += [name, *(f"{name}_{detail}" for detail in scored.details)]
    return names


def as_json(choice: Choice, found: Mapping[str, Scored]) -> dict[str, Any]:
    """What was measured and weighed, as JSON values."""
    known = scores()
    return {
        "scores": {
            name: {
                "title": known[name].title, "doc": known[name].doc,
                "caveat": known[name].caveat, "better": known[name].better,
            }
            for name in found
        },
        "goals": list(choice.goals),
        "shortlist": [_candidate(candidate) for candidate in choice.shortlist],
        "front": [_candidate(candidate) for candidate in choice.front],
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "settings": asdict(candidate.settings),
        "cells": list(candidate.cells),
        "means": dict(candidate.means),
        "spreads": dict(candidate.spreads),
    }


def _columns(cell: int, found: Mapping[str, Scored]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, scored in found.items():
        columns[name] = _plain(scored.values.get(cell))
        for detail, values in scored.details.items():
            columns[f"{name}_{detail}"] = _plain(values.get(cell))
    return columns


def _plain(value: Any) -> Any:
    """Six digits are more than any of these figures is worth."""
    return float(f"{value:.6g}") if isinstance(value, float) else value
