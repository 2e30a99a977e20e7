"""How long a sweep will take: from what it has measured, in forwards of the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .cell_settings import CellSettings

EVALUATIONS_PER_STEP = {
    "heun": 2, "heunpp2": 3, "exp_heun_2_x0": 2, "exp_heun_2_x0_sde": 2, "dpm_2": 2,
    "dpm_2_ancestral": 2, "dpmpp_2s_ancestral": 2, "dpmpp_2s_ancestral_cfg_pp": 2, "dpmpp_sde": 2,
    "dpmpp_sde_gpu": 2, "seeds_2": 2, "seeds_3": 3, "sa_solver_pece": 2,
}  # fmt: skip
"""Of stock samplers that look at the model more than once in a step."""
WORTH_SAYING_S = 5.0
MINUTE_S, HOUR_S = 60, 3600


def work_of(settings: CellSettings) -> float:
    """Megapixels that go through the model for a cell."""
    evaluations = EVALUATIONS_PER_STEP.get(settings.sampler, 1)
    passes = 1 if settings.cfg == 1.0 else 2
    pixels = settings.width_px * settings.height_px / 1e6
    return settings.steps * evaluations * passes * pixels


@dataclass(frozen=True)
class _Batch:
    sampler: str
    work: float
    seconds: float


@dataclass
class Estimate:
    """Time that is left, by the pace so far; each sampler has its own once it was seen.

    The first batch loads the model and warms everything up: it counts only as long as there is no
    other.

    Attributes:
        pace: seconds per unit of work known from before, or None.
    """

    pace: float | None = None
    _batches: list[_Batch] = field(default_factory=list)

    def note(self, cells: Iterable[CellSettings], seconds: float) -> None:
        """Cells of one batch were drawn in so many seconds."""
        each = list(cells)
        work = sum(map(work_of, each))
        self._batches.append(_Batch(each[0].sampler, work, seconds))

    def measured_pace(self) -> float | None:
        """Seconds per unit over all that was drawn."""
        return _pace(self._batches[1:] or self._batches)

    def seconds_for(self, cells: Iterable[CellSettings]) -> float | None:
        """Time that these cells will take, or None as long as nothing is known."""
        warm = self._batches[1:]
        usual = _pace(warm) or self.pace or _pace(self._batches)
        own = {name: _pace([b for b in warm if b.sampler == name]) for name in _samplers(warm)}
        total = 0.0
        for cell in cells:
            pace = own.get(cell.sampler) or usual
            if pace is None:
                return None
            total += pace * work_of(cell)
        return total


def _pace(batches: Sequence[_Batch]) -> float | None:
    work = sum(batch.work for batch in batches)
    return sum(batch.seconds for batch in batches) / work if work else None


def _samplers(batches: Iterable[_Batch]) -> set[str]:
    return {batch.sampler for batch in batches}


def time_text(seconds: float) -> str:
    """``about 4 min``: as exact as an estimate can be."""
    if seconds < MINUTE_S:
        return f"about {max(1, round(seconds))} s"
    if seconds < HOUR_S:
        return f"about {round(seconds / MINUTE_S)} min"
    hours, rest = divmod(round(seconds / MINUTE_S), 60)
    return f"about {hours} h {rest} min"
