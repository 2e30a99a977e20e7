"""The sweep as a table: one row per cell, with how it was made and how far it can be trusted."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .axis import AxisValues
from .cells import Cell

_FORMULA = re.compile(r"[\s\x00]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r]")
"""What spreadsheets take for a formula, also after spaces and in East Asian width."""
_NUMBER = re.compile(r"[+-]?[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class CellOutcome:
    """How a cell came about.

    Attributes:
        mode: ``batched`` (LoRA beside the weights), ``patched`` (into them, once per strength),
            ``alone`` (as the stock nodes draw it) or ``failed``.
        reason: why it was not batched; empty when it was.
        seconds: its share of its batch's time.
        error: why there is no picture; empty when there is one.
        effect: mean absolute difference of the picture to the one at strength 0, 0..1; not 0 as
            long as a single pixel differs.
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


def rows_of(
    cells: Sequence[Cell],
    outcomes: Mapping[int, CellOutcome],
    axes: Sequence[AxisValues] = (),
) -> list[dict[str, Any]]:
    """One flat row per cell that was tried: its place, its labels, its settings, its outcome.

    Args:
        cells: of the grid, and hidden ones.
        outcomes: by cell index.
        axes: of the plan; each gives a column ``axis_<name>`` with the label in the grid, empty
            for hidden cells.
    """
    rows = []
    for cell in cells:
        if cell.index not in outcomes:
            continue
        place = {"cell": cell.index, "page": cell.page, "row": cell.row, "column": cell.column}
        labels = {f"axis_{own.axis_name}": "" for own in axes}
        for own, value in zip(axes, cell.values, strict=False):
            labels[f"axis_{own.axis_name}"] = own.label_of(value)
        outcome = asdict(outcomes[cell.index])
        rows.append({**place, **labels, **asdict(cell.settings), **outcome})
    return rows


def columns_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of all columns, in the order in which rows have them."""
    return list(dict.fromkeys(name for row in rows for name in row))


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV, numbers in full and absent values empty.

    A text that a spreadsheet would take for a formula gets an apostrophe in front, which tells it
    that it is text: prompts may begin with ``=`` or ``@``, and come from other people's files.
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns_of(rows), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows([{k: _csv_value(v) for k, v in row.items()} for row in rows])
    return buffer.getvalue()


def to_json(document: Any) -> str:
    """Strict JSON that keeps the order; what is no finite number becomes null."""
    strict = _strict(document)
    return json.dumps(strict, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _csv_value(value: Any) -> Any:
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    text = _writable(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _strict(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return _writable(value)
    if isinstance(value, Mapping):
        return {_writable(str(name)): _strict(own) for name, own in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(own) for own in value]
    return value


def _writable(text: str) -> str:
    """Half letters, which JSON can bring along, have no place in a file."""
    return text.encode("utf-8", "replace").decode("utf-8")
