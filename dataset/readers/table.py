"""Tables: ``metadata.csv`` or ``metadata.jsonl``, at the top or in any sub-folder."""

from __future__ import annotations

from ...core.errors import shorten
from ..fault_book import FaultBook
from ..metadata import METADATA_FILES, MetadataRow, read_table, two_tables
from ..walk import Listing, name_of, normal, parent_of
from .reader import Reader, ReadOptions, Said

_PARQUET = "metadata.parquet"


class _Tables:
    """Rows by picture. Where several tables have one, that of the nearest folder counts."""

    def __init__(self, listing: Listing, options: ReadOptions, faults: FaultBook) -> None:
        del options
        self._listing, self._faults = listing, faults
        self._rows: dict[str, tuple[str, MetadataRow]] = {}
        by_folder: dict[str, list[str]] = {}
        for file in listing.others:
            if name_of(file) in METADATA_FILES:
                by_folder.setdefault(parent_of(file), []).append(file)
        # The deepest last: what it says goes before what a folder above it says.
        for folder in sorted(by_folder, key=lambda name: (name.count("/") + bool(name), name)):
            self._read(folder, by_folder[folder])

    def _read(self, folder: str, files: list[str]) -> None:
        if len(files) > 1:
            for file in files:
                self._faults.add(file, two_tables(files))
            return
        path = self._listing.root / files[0]
        rows = self._faults.attempt(files[0], lambda: read_table(path, files[0]))
        before = normal(f"{folder}/") if folder else ""
        for name, row in (rows or {}).items():
            self._rows[before + name] = (files[0], row)

    def of(self, picture: str) -> Said | None:
        if not self._rows:
            return None
        file, row = self._rows.get(normal(picture), ("", None))
        if row is None:
            return None
        return Said(
            row.caption,
            file if row.caption is not None else None,
            row.subject,
            row.role,
            row.weight,
            row.repeats,
            row.columns,
        )

    def notes(self) -> list[str]:
        notes = []
        parquet = [file for file in self._listing.others if name_of(file) == _PARQUET]
        if parquet:
            notes.append(f"Tables of a kind that is not read were left out: {shorten(parquet)}.")
        gone = sorted(set(self._rows) - {normal(picture) for picture in self._listing.pictures})
        by_file: dict[str, list[str]] = {}
        for name in gone:
            by_file.setdefault(self._rows[name][0], []).append(name)
        return notes + [
            f"{file} names pictures that are not here: {shorten(names)}."
            for file, names in by_file.items()
        ]


READER = Reader(name="tables", order=30, title="the metadata", open=_Tables)
