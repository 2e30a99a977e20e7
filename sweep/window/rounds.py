"""Searches of several subjects at once: their pictures of one round are drawn together.

A subject is a prompt at a CFG scale. ``Hunt`` says which cells come next and is told the pictures;
it keeps scores and no picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from PIL import Image

from ...core.errors import ConfigError
from ..cell_settings import CellSettings
from ..cells import Cell
from .curve import Observation
from .finding import Window, find_window
from .planner import next_strengths
from .search import Search
from .subject import SubjectScore


@dataclass(frozen=True)
class Subject:
    """What may fall apart: a prompt, drawn at a CFG scale."""

    prompt: str
    cfg: float


@dataclass
class Hunt:
    """The whole search.

    Attributes:
        base: all other settings; ``seed`` is the first seed.
        subjects: prompts and CFG scales.
        seeds: how many seeds of each.
        search: range and budget, the same for every subject.
        score: how much of a subject is left in a picture.
        cells: every cell that was asked for, in the order of their indices.
        scores: by cell index; cells that failed have none.

    Raises:
        ConfigError: no seed.
    """

    base: CellSettings
    subjects: Sequence[Subject]
    seeds: int
    search: Search
    score: SubjectScore
    cells: list[Cell] = field(default_factory=list)
    scores: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ConfigError(
                f"The search may draw {self.seeds} seeds",
                expected="at least 1",
                remedy="Take 3: with one nobody knows how far others differ",
            )

    @property
    def most_cells(self) -> int:
        """As many pictures as there may be."""
        return len(self.subjects) * self.seeds * self.search.budget

    def next_cells(self) -> tuple[Cell, ...]:
        """The cells of the next round, all subjects together; empty when all are done.

        A cell's page is the number of its subject, its row that of its seed, and its column that
        of its strength in this round.
        """
        fresh: list[Cell] = []
        for page in range(len(self.subjects)):
            asked = {cell.settings.strength for cell in self._of(page)}
            observed = self.observed(page)
            failed = asked - {own.strength for own in observed}
            strengths = next_strengths(observed, self.search, failed)
            for row in range(self.seeds):
                if asked and not self.score.has_base(*self._base_of(page, row)):
                    # Its picture at strength 0 failed: nothing of this seed could be scored.
                    continue
                for column, strength in enumerate(strengths):
                    number = len(self.cells) + len(fresh)
                    settings = self._settings(page, row, strength)
                    fresh.append(Cell(number, page, row, column, settings, (strength,)))
        self.cells += fresh
        return tuple(fresh)

    def tell(self, cells: Iterable[Cell], pictures: Mapping[int, Image.Image]) -> None:
        """Score the pictures of a round; missing ones could not be drawn.

        Bases come first, all of them: what is unrelated is measured among them.
        """
        drawn = [cell for cell in cells if cell.index in pictures]
        for cell in drawn:
            if cell.settings.strength == 0:
                self.score.add_base(*self._key(cell), pictures[cell.index])
                self.scores[cell.index] = 1.0
        for cell in drawn:
            key = self._key(cell)
            if cell.settings.strength != 0 and self.score.has_base(*key):
                self.scores[cell.index] = self.score.score(*key, pictures[cell.index])

    def observed(self, subject: int) -> tuple[Observation, ...]:
        """All scores of a subject."""
        return tuple(
            Observation(cell.settings.strength, cell.settings.seed, self.scores[cell.index])
            for cell in self._of(subject)
            if cell.index in self.scores
        )

    def windows(self) -> tuple[Window, ...]:
        """What was found, one per subject."""
        return tuple(
            find_window(self.observed(number), self.search) for number in range(len(self.subjects))
        )

    def _of(self, subject: int) -> list[Cell]:
        return [cell for cell in self.cells if cell.page == subject]

    def _settings(self, page: int, row: int, strength: float) -> CellSettings:
        subject = self.subjects[page]
        return replace(
            self.base, prompt=subject.prompt, cfg=subject.cfg, seed=self.base.seed + row,
            strength=strength,
        )

    def _base_of(self, page: int, row: int) -> tuple[str, float, int]:
        subject = self.subjects[page]
        return subject.prompt, subject.cfg, self.base.seed + row

    def _key(self, cell: Cell) -> tuple[str, float, int]:
        own = cell.settings
        return own.prompt, own.cfg, own.seed
