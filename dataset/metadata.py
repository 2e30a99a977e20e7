"""``metadata.csv`` and ``metadata.jsonl``: captions, subjects and further columns by file name.

The layout is that of Hugging Face's ImageFolder: one row per picture, ``file_name`` relative to
the folder.
"""

from __future__ import annotations

import csv
import io
import json
import posixpath
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import DatasetError
from .text import read_text

METADATA_FILES = ("metadata.csv", "metadata.jsonl")
_LIMIT_BYTES = 64 * 2**20
_CAPTION_COLUMNS = ("caption", "text")


@dataclass(frozen=True)
class MetadataRow:
    """What a metadata file says about one picture. Empty cells are absent."""

    caption: str | None = None
    subject: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


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
        raise DatasetError(
            f"The folder has both {' and '.join(present)}",
            expected="one of them",
            remedy="Remove the one that is out of date",
        )
    file = present[0]
    text = read_text(folder / file, file, limit_bytes=_LIMIT_BYTES)
    records = _csv_records(text, file) if file.endswith(".csv") else _json_records(text, file)
    rows: dict[str, MetadataRow] = {}
    for line, record in records:
        name = _file_name(record, file, line)
        if name in rows:
            raise _malformed(file, line, f"{name} for the second time", "one row per picture")
        rows[name] = _row(record)
    return Metadata(rows, file)


def _csv_records(text: str, file: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        if len(set(header)) < len(header):
            raise _malformed(file, 1, "two columns of one name", "different names")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(header):
                found = f"{len(cells)} cells"
                raise _malformed(file, reader.line_num, found, f"{len(header)}, as in the header")
            yield reader.line_num, dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise _malformed(file, reader.line_num, str(error), "comma-separated values") from error


def _json_records(text: str, file: str) -> Iterator[tuple[int, dict[str, str]]]:
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            record = json.loads(content)
        except ValueError as error:
            raise _malformed(file, line, str(error), "one JSON object per line") from error
        if not isinstance(record, dict):
            raise _malformed(file, line, type(record).__name__, "one JSON object per line")
        yield line, {key: _cell(value, file, line, key) for key, value in record.items()}


def _cell(value: Any, file: str, line: int, column: str) -> str:
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
    return unicodedata.normalize("NFC", posixpath.normpath(name))


def _row(record: Mapping[str, str]) -> MetadataRow:
    cells = {column: value.strip() for column, value in record.items() if value.strip()}
    caption = next((cells[column] for column in _CAPTION_COLUMNS if column in cells), None)
    known = {"file_name", "subject", *_CAPTION_COLUMNS}
    columns = {column: value for column, value in cells.items() if column not in known}
    return MetadataRow(caption, cells.get("subject"), columns)


def _malformed(file: str, line: int, found: str, expected: str) -> DatasetError:
    return DatasetError(
        f"{file}, line {line}: {found}",
        expected=expected,
        remedy="Correct that line, or export the table anew",
    )
