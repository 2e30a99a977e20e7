"""The sweep as a table: one row per cell, with how it was made and how far it can be trusted."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .cells import Cell


@dataclass(frozen=True)
class CellOutcome:
    """How a cell came about.

    Attributes:
        mode: ``batched`` (LoRA beside the weights), ``patched`` (into them, once per strength),
            ``alone`` (as the stock nodes draw it) or ``failed``.
        reason: why it was not batched; empty when it was.
        seconds: its share of its batch's time.
        error: why there is no picture; empty when there is one.
        effect: mean absolute difference of the picture to the one at strength 0, 0..1.
        parity: latent difference to the stock loader and sampler, as a share of the latent's
            range, for the cell that was checked: the largest in fp32, root mean square in bf16
            and fp16, where the stock loader's own rounding is part of it.
        batch: how many cells were drawn together.
        origin: ``drawn`` in this sweep, or ``stored`` by a former one.
        keys_matched: keys of the LoRA's file that the stock loader uses.
        keys: of the file.
        inert: whether the LoRA, at a strength other than 0, changed not one pixel.
    """

    mode: str
    reason: str
    seconds: float
    error: str = ""
    effect: float | None = None
    parity: float | None = None
    batch: int = 1
    origin: str = "drawn"
    keys_matched: int | None = None
    keys: int | None = None
    inert: bool | None = None


def rows_of(cells: Sequence[Cell], outcomes: Mapping[int, CellOutcome]) -> list[dict[str, Any]]:
    """One flat row per cell that was tried."""
    rows = []
    for cell in cells:
        if cell.index not in outcomes:
            continue
        outcome = outcomes[cell.index]
        place = {"cell": cell.index, "page": cell.page, "row": cell.row, "column": cell.column}
        rows.append({**place, **asdict(cell.settings), **asdict(outcome)})
    return rows


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV, numbers in full and absent values empty."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows([{k: "" if v is None else v for k, v in row.items()} for row in rows])
    return buffer.getvalue()
