"""``metadata.csv`` and ``metadata.jsonl``: captions, roles and further columns by file name.

The layout is that of Hugging Face's ImageFolder: one row per picture, ``file_name`` relative to
the folder of the table.
"""

from __future__ import annotations

import csv
import io
import posixpath
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import DatasetError
from .items import REGULARISATION, ROLES, TRAIN, VALIDATION
from .json_text import parse_json
from .text import read_text

METADATA_FILES = ("metadata.csv", "metadata.jsonl")
LIMIT_BYTES = 64 * 2**20
LEAST_REPEATS, MOST_REPEATS = 0.01, 10_000.0
MOST_WEIGHT = 1000.0
_CAPTION_COLUMNS = ("caption", "text")
_SPLITS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("validation", "valid", "val", "dev", "test", "testing"), VALIDATION),
    **dict.fromkeys(("eval", "evaluation"), VALIDATION),
    **dict.fromkeys(("reg", "regularization"), REGULARISATION),
}
_KNOWN = {"file_name", "subject", "role", "repeats", "loss_weight", *_CAPTION_COLUMNS}


@dataclass(frozen=True)
class MetadataRow:
    """What a metadata file says about one picture. Empty cells are absent.

    Attributes:
        caption: of the column ``caption``, else ``text``.
        subject: of the column ``subject``.
        columns: all others, by name.
        role: of the column ``role``, or of ``split``.
        repeats: of the column ``repeats``.
        weight: of the column ``loss_weight``.
    """

    caption: str | None = None
    subject: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    role: str | None = None
    repeats: float | None = None
    weight: float | None = None


@dataclass(frozen=True)
class Metadata:
    """Rows by file name below the folder (NFC, forward slashes), and the file they are from."""

    rows: dict[str, MetadataRow]
    file: str


def read_metadata(folder: Path) -> Metadata:
    """Read the metadata file of a folder; without one there are no rows.

    Raises:
        DatasetError: there are two, or one is malformed; the line is named.
    """
    present = [name for name in METADATA_FILES if (folder / name).is_file()]
    if not present:
        return Metadata({}, "")
    if len(present) > 1:
        raise two_tables(present)
    return Metadata(read_table(folder / present[0], present[0]), present[0])


def two_tables(files: list[str]) -> DatasetError:
    """A folder has both kinds of table, which may contradict each other."""
    return DatasetError(
        f"The folder has both {' and '.join(files)}",
        expected="one of them",
        remedy="Remove the one that is out of date",
    )


def read_table(path: Path, file: str) -> dict[str, MetadataRow]:
    """The rows of one table by file name below its folder.

    Args:
        path: ``metadata.csv`` or ``metadata.jsonl``.
        file: what it is called in messages.

    Raises:
        DatasetError: it is malformed, or a row leads out of the folder; the line is named.
    """
    text = read_text(path, file, limit_bytes=LIMIT_BYTES)
    records = _csv_records(text, file) if path.suffix == ".csv" else json_records(text, file)
    rows: dict[str, MetadataRow] = {}
    for line, record in records:
        name = _file_name(record, file, line)
        if name in rows:
            raise _malformed(file, line, f"{name} for the second time", "one row per picture")
        rows[name] = _row(record, file, line)
    return rows


def role_of(word: str) -> str | None:
    """The role that a word of a table or of a folder means; None for another word."""
    folded = word.strip().casefold()
    return folded if folded in ROLES else _SPLITS.get(folded)


def _csv_records(text: str, file: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        while header and not header[-1]:
            header.pop()  # Spreadsheets leave columns behind that hold nothing.
        if len(set(header)) < len(header):
            raise _malformed(file, 1, "two columns of one name", "different names")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if any(cell.strip() for cell in cells[len(header):]):
                found = f"{len(cells)} cells"
                raise _malformed(file, reader.line_num, found, f"{len(header)}, as in the header")
            yield reader.line_num, dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise _malformed(file, reader.line_num, str(error), "comma-separated values") from error


def json_records(text: str, file: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The line number and the cells of every line of a JSON lines file.

    Raises:
        DatasetError: a line is malformed.
    """
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            record = parse_json(content)
        except ValueError as error:
            raise _malformed(file, line, str(error), "one JSON object per line") from error
        if not isinstance(record, dict):
            raise _malformed(file, line, type(record).__name__, "one JSON object per line")
        yield line, {key: _cell(value, file, line, key) for key, value in record.items()}


def _cell(value: Any, file: str, line: int, column: str) -> str:
    text = _cell_text(value, file, line, column)
    if any("\ud800" <= char <= "\udfff" for char in column + text):
        # JSON can spell it, but no file and no tokenizer can take it.
        raise _malformed(file, line, "half a character (a lone surrogate)", "whole characters")
    return text


def _cell_text(value: Any, file: str, line: int, column: str) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(part, (str, int, float)) for part in value):
        return ", ".join(str(part) for part in value)
    if isinstance(value, (str, int, float)):
        return str(value)
    raise _malformed(
        file, line, f"a nested value in '{column}'", "text, a number, or a list of these"
    )


def _file_name(record: Mapping[str, str], file: str, line: int) -> str:
    name = record.get("file_name", "").strip().replace("\\", "/")
    if not name:
        raise _malformed(file, line, "no file_name", "a column file_name with the picture's path")
    plain = posixpath.normpath(name)
    if plain.startswith(("/", "../")) or plain == ".." or "://" in name or plain[1:3] == ":/":
        raise _malformed(
            file, line, f"{name[:200]!r}, which leads out of the folder",
            "a path below the folder of the table",
        )
    return unicodedata.normalize("NFC", plain)


def _row(record: Mapping[str, str], file: str, line: int) -> MetadataRow:
    cells = {column: value.strip() for column, value in record.items() if value.strip()}
    caption = next((cells[column] for column in _CAPTION_COLUMNS if column in cells), None)
    split = role_of(cells.get("split", ""))
    columns = {column: value for column, value in cells.items() if column not in _KNOWN}
    return MetadataRow(
        caption,
        cells.get("subject"),
        columns,
        _role(cells["role"], file, line) if "role" in cells else split,
        _number(cells, "repeats", (LEAST_REPEATS, MOST_REPEATS), file, line),
        _number(cells, "loss_weight", (0.0, MOST_WEIGHT), file, line),
    )


def _role(word: str, file: str, line: int) -> str:
    role = role_of(word)
    if role is None:
        raise _malformed(file, line, f"the role {word[:80]!r}", f"one of {', '.join(ROLES)}")
    return role


def _number(
    cells: Mapping[str, str], column: str, limits: tuple[float, float], file: str, line: int
) -> float | None:
    if column not in cells:
        return None
    try:
        value = float(cells[column])
    except ValueError:
        value = float("nan")
    if not limits[0] <= value <= limits[1]:  # True for what is no number, too.
        expected = f"a number from {limits[0]:g} to {limits[1]:g}"
        raise _malformed(file, line, f"{column} is {cells[column][:80]!r}", expected)
    return value


def _malformed(file: str, line: int, found: str, expected: str) -> DatasetError:
    return DatasetError(
        f"{file}, line {line}: {found}",
        expected=expected,
        remedy="Correct that line, or export the table anew",
    )
