"""One answer for all subjects of a search, and the report in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..axis_values import number_text
from .finding import UNSURE, Window
from .rounds import Hunt, Subject
from .search import RESOLUTION


@dataclass(frozen=True)
class Answer:
    """What holds for every subject.

    Attributes:
        recommended: the lowest of all recommended strengths.
        last_coherent: strength up to which every subject is whole.
        first_broken: strength at which the first one has fallen apart; None where none does.
        windows: one per subject.
    """

    recommended: float
    last_coherent: float
    first_broken: float | None
    windows: tuple[Window, ...]


def common_answer(windows: Sequence[Window]) -> Answer:
    """What is safe for all is what is safe for the weakest."""
    broken = [own.first_broken for own in windows if own.first_broken is not None]
    return Answer(
        recommended=min(own.recommended for own in windows),
        last_coherent=min(own.last_coherent for own in windows),
        first_broken=min(broken, default=None),
        windows=tuple(windows),
    )


def report_of(hunt: Hunt, answer: Answer, notes: Sequence[str] = ()) -> str:
    """The report: the answer, then each subject, then what the person should know."""
    drawn = [cell for cell in hunt.cells if cell.index in hunt.scores]
    strengths = len({cell.settings.strength for cell in drawn})
    lines = [f"Recommended strength {number_text(answer.recommended)}"]
    unsure = sum(window.verdict == UNSURE for window in answer.windows)
    if unsure:
        of = f"{unsure} of {len(answer.windows)} windows"
        lines.append(f"Do not rely on it yet: {of} too uncertain")
    missing = len(hunt.cells) - len(drawn)
    lines.append(
        f"{len(drawn)} pictures of {len({s.prompt for s in hunt.subjects})} prompts at "
        f"{len({s.cfg for s in hunt.subjects})} CFG scales: {hunt.seeds} seeds, "
        f"{strengths} strengths in all" + (f"; {missing} are missing" if missing else "")
    )
    for subject, window in zip(hunt.subjects, answer.windows, strict=True):
        lines += ["", subject_text(subject), *(f"  {line}" for line in window_lines(window))]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def subject_text(subject: Subject) -> str:
    """The subject on one line."""
    return f"CFG {number_text(subject.cfg)}: {' '.join(subject.prompt.split()) or '(no prompt)'}"


def window_lines(window: Window) -> list[str]:
    """One window in words."""
    lines = [window.verdict]
    if window.estimate is not None:
        lines.append(f"last coherent {_edge(window.last_coherent, window.last_interval)}")
        if window.first_broken is not None:
            lines.append(f"first broken {_edge(window.first_broken, window.first_interval)}")
    return [*lines, f"recommended {number_text(window.recommended)}", *window.notes]


def document_of(hunt: Hunt, answer: Answer, notes: Sequence[str] = ()) -> dict[str, Any]:
    """Everything that was observed and concluded, for a JSON file."""
    return {
        "recommended": answer.recommended,
        "last_coherent": round(answer.last_coherent, 4),
        "first_broken": _rounded(answer.first_broken),
        "search": {
            "lowest": hunt.search.lowest, "highest": hunt.search.highest,
            "strengths": hunt.search.budget, "seeds": hunt.seeds, "resolution": RESOLUTION,
        },
        "rule": "the curve is the mean of the seeds, made to never rise; recommended is the lower "
        "end of the 90 % interval of the strength at which 90 % of the subject's fall is still "
        "ahead, rounded down; where nothing falls it is 1 or the highest that was drawn",
        "notes": list(notes),
        "subjects": [
            {
                "prompt": subject.prompt,
                "cfg": subject.cfg,
                **_window_document(window),
                "observations": [
                    {"strength": own.strength, "seed": own.seed, "score": round(own.score, 5)}
                    for own in sorted(
                        hunt.observed(number), key=lambda own: (own.strength, own.seed)
                    )
                ],
            }
            for number, (subject, window) in enumerate(
                zip(hunt.subjects, answer.windows, strict=True)
            )
        ],
    }  # fmt: skip


def rows_of(hunt: Hunt) -> list[Mapping[str, Any]]:
    """One row per picture, for a table."""
    cells = sorted(hunt.cells, key=lambda c: (c.page, c.settings.strength, c.settings.seed))
    return [
        {
            "cell": cell.index,
            "strength": cell.settings.strength,
            "seed": cell.settings.seed,
            "cfg": cell.settings.cfg,
            "score": round(hunt.scores[cell.index], 5) if cell.index in hunt.scores else "",
            "prompt": cell.settings.prompt,
        }
        for cell in cells
    ]


def _window_document(window: Window) -> dict[str, Any]:
    shape = None if window.estimate is None else window.estimate.shape
    return {
        "verdict": window.verdict,
        "last_coherent": _rounded(window.last_coherent),
        "first_broken": _rounded(window.first_broken),
        "last_interval": _pair(window.last_interval),
        "first_interval": _pair(window.first_interval),
        "recommended": window.recommended,
        "crossings": [
            {"strength": round(strength, 4), "falls": falls} for strength, falls in window.crossings
        ],
        "curve": None if shape is None else {
            "top": round(float(shape.tops[0]), 4), "bottom": round(float(shape.bottoms[0]), 4),
            "strengths": shape.strengths.tolist(),
            "scores": [round(float(value), 4) for value in shape.values[0]],
        },
        "noise": round(window.noise, 4),
        "notes": list(window.notes),
    }  # fmt: skip


def _edge(strength: float, interval: tuple[float, float] | None) -> str:
    around = "" if interval is None else f" (90 %: {interval[0]:.3f} to {interval[1]:.3f})"
    return f"{strength:.3f}{around}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _pair(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [round(value, 4) for value in interval]
