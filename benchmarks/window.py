"""How close the window finder comes on subjects whose windows are known.

    python -m benchmarks.window            200 searches of each subject
    python -m benchmarks.window --runs 50
    python -m benchmarks.window --seeds 2 --noise .12 --jitter .05

Each subject is a curve; each seed falls a little earlier or later (standard deviation .02 of
strength), each picture's score is off by .06. Those are the figures that a real search is expected
to meet. Strength 0 is compared with itself and scores 1.

Intervals are stated as 90 % ones, each edge for itself; how often both hold at once is shown, too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

if __name__ == "__main__":
    from devtools.load_pack import load_pack

    load_pack()

from lora_kiln.sweep.window.curve import Observation
from lora_kiln.sweep.window.finding import Window, find_window
from lora_kiln.sweep.window.planner import next_strengths
from lora_kiln.sweep.window.search import Search

JITTER, NOISE, SEEDS = 0.02, 0.06, 3
LN9 = float(np.log(9.0))
"""A logistic is at 90 % and 10 % this many scales before and after its centre."""
Curve = Callable[[float], float]


@dataclass(frozen=True)
class Subject:
    """A subject with a known answer.

    Attributes:
        name: for the table.
        curve: strength -> score.
        edges: last coherent and first broken; None where it does not fall apart.
    """

    name: str
    curve: Curve
    edges: tuple[float, float] | None


def falling(last: float, first: float, bottom: float = 0.0, top: float = 1.0) -> Curve:
    """A curve with this window."""
    center, scale = (last + first) / 2, (first - last) / 2 / LN9

    def score(strength: float) -> float:
        kept = 0.5 * (1 - float(np.tanh((strength - center) / scale / 2)))
        return bottom + (top - bottom) * kept

    return score


def _turning(strength: float) -> float:
    """Falls, comes back whole as something else might, and falls for good."""
    back = 1 - falling(0.8, 0.92)(strength)
    return max(falling(0.44, 0.53)(strength), 0.9 * back * falling(1.2, 1.35)(strength))


SUBJECTS = (
    Subject("narrow .44-.53", falling(0.44, 0.53), (0.44, 0.53)),
    Subject("wide .66-.80", falling(0.66, 0.80), (0.66, 0.80)),
    Subject("to a bottom of .3", falling(0.55, 0.75, bottom=0.3), (0.55, 0.75)),
    Subject("style first, .9 left", falling(0.66, 0.80, top=0.9), (0.66, 0.80)),
    Subject("early .12-.25", falling(0.12, 0.25), (0.12, 0.25)),
    Subject("turning .44-.53", _turning, (0.44, 0.53)),
    Subject("none: flat", lambda strength: 1.0, None),
    Subject("none: fades to .8", lambda strength: 1 - 0.2 * strength / 1.6, None),
    Subject("none: fades to .7", lambda strength: 1 - 0.3 * strength / 1.6, None),
    Subject("none: wobbles", lambda strength: 0.9 + 0.1 * float(np.cos(6 * strength)), None),
)


def search_once(
    subject: Subject, number: int, search: Search | None = None, *,
    jitter: float = JITTER, noise: float = NOISE, seeds: int = SEEDS,
) -> tuple[Window, tuple[Observation, ...]]:
    """One whole search; ``number`` decides the noise."""
    plan = search or Search()
    chance = np.random.default_rng(number)
    shifts = chance.normal(0, jitter, seeds)
    observed: list[Observation] = []
    while batch := next_strengths(observed, plan):
        for strength in batch:
            for seed, shift in enumerate(shifts):
                off = chance.normal(0, noise)
                score = subject.curve(strength - shift) + off if strength else 1.0
                observed.append(Observation(strength, seed, score))
    return find_window(observed, plan), tuple(observed)


def main() -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--runs", type=int, default=200, help="searches of each subject")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of every strength")
    parser.add_argument("--noise", type=float, default=NOISE, help="of a picture's score")
    parser.add_argument("--jitter", type=float, default=JITTER, help="of a seed's strength")
    chosen = parser.parse_args()
    print("| subject | last coherent: median, 90 % | first broken: median, 90 % "
          "| intervals hold: last, first, both | widths | recommended above last, below it by "
          "| window found | strengths | ms |")
    print("|---|---|---|---|---|---|---|---|---|")
    for subject in SUBJECTS:
        print(row_of(subject, **vars(chosen)), flush=True)
    return 0


def row_of(
    subject: Subject, runs: int, *, jitter: float = JITTER, noise: float = NOISE,
    seeds: int = SEEDS,
) -> str:  # fmt: skip
    """A line of the table."""
    started = time.perf_counter()
    results = [
        search_once(subject, number, jitter=jitter, noise=noise, seeds=seeds)
        for number in range(runs)
    ]
    milliseconds = 1000 * (time.perf_counter() - started) / runs
    windows = [window for window, _ in results]
    drawn = np.mean([len({own.strength for own in seen}) for _, seen in results])
    found = np.mean([window.has_window for window in windows])
    cells = ["-"] * 5
    if subject.edges is not None:
        cells = _edge_cells(windows, subject.edges)
    return (
        f"| {subject.name} | {' | '.join(cells)} | {found:.1%} | {drawn:.1f} | {milliseconds:.0f} |"
    )


def _edge_cells(windows: list[Window], edges: tuple[float, float]) -> list[str]:
    last, first = edges
    nowhere = float("inf")
    errors = np.array(
        [
            (
                abs(own.last_coherent - last),
                nowhere if own.first_broken is None else abs(own.first_broken - first),
            )
            for own in windows
        ]
    )
    held, widths = intervals_of(windows, edges)
    above = np.mean([own.recommended > last for own in windows])
    below = np.median([last - own.recommended for own in windows])
    shown = [
        f"{np.median(error):.4f}, {np.quantile(error, 0.9):.3f}" for error in errors.T
    ]
    return [
        *shown,
        f"{held[:, 0].mean():.0%}, {held[:, 1].mean():.0%}, {held.all(axis=1).mean():.0%}",
        ", ".join(f"{width:.3f}" for width in np.median(widths, axis=0)),
        f"{above:.0%}, {below:.3f}",
    ]


def intervals_of(
    windows: Iterable[Window], edges: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Of those windows that have them: whether each holds its edge, and how wide it is; (N, 2)."""
    found = np.array(
        [[w.last_interval, w.first_interval] for w in windows if w.last_interval]
    )
    held = (found[..., 0] <= np.array(edges)) & (np.array(edges) <= found[..., 1])
    return held, found[..., 1] - found[..., 0]


if __name__ == "__main__":
    raise SystemExit(main())
