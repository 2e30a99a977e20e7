"""What is known of picture files, in one SQLite file that may be thrown away at any time.

Several processes may use it at once (write-ahead log). Every row carries a checksum, so that not
even a flipped bit is believed; a file that SQLite refuses is begun anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import PIL

from ..core.errors import DatasetError
from .decode import AVIF, DECODE_VERSION
from .examine import EXAMINE_VERSION
from .facts import PictureFacts, PictureRecord
from .perceptual import HASH_VERSION

LAYOUT_VERSION = 1
MOST_ROWS = 1_000_000
"""About 250 MB; beyond it the files that were asked for longest ago are forgotten."""
WAIT_S = 30.0
_MOST_AT_ONCE = 500
_TRIM_TO = 0.9
_DAY_S = 86400
_TABLE = """CREATE TABLE IF NOT EXISTS pictures (
    path BLOB PRIMARY KEY, version TEXT, size INTEGER, mtime_ns INTEGER, sha256 TEXT,
    width INTEGER, height INTEGER, notes TEXT, hides INTEGER, look INTEGER,
    checksum BLOB, seen INTEGER) WITHOUT ROWID"""
_COLUMNS = (
    "path, version, size, mtime_ns, sha256, width, height, notes, hides, look, checksum, seen"
)
# Another Pillow may refuse what this one decodes, or the other way round.
_VERSION = f"{LAYOUT_VERSION}.{DECODE_VERSION}.{EXAMINE_VERSION}.{HASH_VERSION}/" + (
    f"{PIL.__version__}{'+avif' if AVIF else ''}"
)
Stamp = tuple[int, int]
T = TypeVar("T")


class IndexFile:
    """Records by path. Used by one thread at a time.

    Args:
        path: the SQLite file; made where it is missing, begun anew where it is damaged.
        most_rows: how many files it remembers.

    Raises:
        DatasetError: it can be neither read nor made.
    """

    def __init__(self, path: Path, *, most_rows: int = MOST_ROWS) -> None:
        self._path, self._most_rows = path, most_rows
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._asked_for: list[bytes] = []
        self._added = 0
        self._safely(lambda connection: None)

    def find(self, stamps: Mapping[Path, Stamp]) -> dict[Path, PictureRecord]:
        """The records of those files that are unchanged by size and time.

        Args:
            stamps: size in bytes and modification time in ns by path.
        """
        names = {os.fsencode(path): path for path in stamps}
        found: dict[Path, PictureRecord] = {}
        today = int(time.time()) // _DAY_S
        for row in self._rows(list(names)):
            path, record = names.get(row[0]), _record_of(row)
            if path is not None and record is not None and record.stamp == stamps[path]:
                found[path] = record
                if row[-1] != today:
                    self._asked_for.append(row[0])
        return found

    def add(self, records: Iterable[tuple[Path, PictureRecord]]) -> None:
        """Remember records, and which others were asked for."""
        today = int(time.time()) // _DAY_S
        rows = [(*_row_of(path, record), today) for path, record in records]
        asked, self._asked_for = self._asked_for, []
        if not rows and not asked:
            return

        def write(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                marks = ", ".join("?" * len(_COLUMNS.split(",")))
                connection.executemany(
                    f"INSERT OR REPLACE INTO pictures ({_COLUMNS}) VALUES ({marks})", rows
                )
                connection.executemany(
                    "UPDATE pictures SET seen = ? WHERE path = ?", [(today, p) for p in asked]
                )

        self._safely(write)
        self._added += len(rows)

    def close(self) -> None:
        """Forget the oldest if there are too many, and let go of the file."""
        if self._added:
            self._safely(self._trim)
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _rows(self, names: Sequence[bytes]) -> list[tuple[Any, ...]]:
        def read(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
            rows: list[tuple[Any, ...]] = []
            for begin in range(0, len(names), _MOST_AT_ONCE):
                part = names[begin : begin + _MOST_AT_ONCE]
                marks = ", ".join("?" * len(part))
                query = f"SELECT {_COLUMNS} FROM pictures WHERE path IN ({marks})"
                rows += connection.execute(query, part).fetchall()
            return rows

        return self._safely(read)

    def _trim(self, connection: sqlite3.Connection) -> None:
        (count,) = connection.execute("SELECT count(*) FROM pictures").fetchone()
        if count <= self._most_rows:
            return
        spare = count - int(self._most_rows * _TRIM_TO)
        with _transaction(connection):
            connection.execute(
                "DELETE FROM pictures WHERE path IN "
                "(SELECT path FROM pictures ORDER BY seen, path LIMIT ?)", (spare,),
            )

    def _safely(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the file; if it is damaged, throw it away and do it again."""
        with self._lock:
            try:
                return self._connected(work)
            except (sqlite3.Error, OSError) as error:
                if _is_outside(error):
                    raise self._unusable(error) from error
            try:
                self._throw_away()
                return self._connected(work)
            except (sqlite3.Error, OSError) as error:
                raise self._unusable(error) from error

    def _connected(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            self._connection = _open(self._path)
        return work(self._connection)

    def _throw_away(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        # The log first: replayed into a new file it would bring the damage back.
        for ending in ("-wal", "-shm", ""):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)

    def _unusable(self, error: Exception) -> DatasetError:
        return DatasetError(
            f"What is known of picture files cannot be kept in {self._path}: {error}",
            expected="a folder that can be written to, with space on its disk",
            remedy="Free some space or check the folder's permissions; the file itself may be "
            "deleted at any time",
        )


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(
        path, timeout=WAIT_S, isolation_level=None, check_same_thread=False
    )
    try:
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(_TABLE)
        connection.execute(f"SELECT {_COLUMNS} FROM pictures LIMIT 1").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Let processes read while one writes; where the file system cannot, nothing changes."""
    until_s = time.monotonic() + WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # This one statement does not wait by itself while another process begins the file.
            if "locked" not in str(error) or time.monotonic() > until_s:
                raise
            time.sleep(0.05)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # SQLite may have done it already.
            connection.execute("ROLLBACK")
        raise


def _is_outside(error: Exception) -> bool:
    """Whether the file is sound and something else is wrong: the disk, a lock, a permission."""
    if isinstance(error, OSError):
        return True
    signs = ("locked", "full", "readonly", "read-only", "unable to open", "busy")
    return isinstance(error, sqlite3.OperationalError) and any(s in str(error) for s in signs)


def _row_of(path: Path, record: PictureRecord) -> tuple[Any, ...]:
    row = (
        os.fsencode(path), _VERSION, record.size_bytes, record.mtime_ns, record.sha256,
        record.facts.width_px, record.facts.height_px, "\n".join(record.facts.notes),
        # SQLite's integers are signed.
        int(record.hides_colours), record.perceptual_hash - 2**63,
    )
    return (*row, _checksum(row))


def _record_of(row: tuple[Any, ...]) -> PictureRecord | None:
    """None for a row of another version, or one that is damaged."""
    *values, checksum, _ = row
    if values[1] != _VERSION or checksum != _checksum(tuple(values)):
        return None
    _, _, size, mtime_ns, sha256, width, height, notes, hides, look = values
    return PictureRecord(
        size_bytes=size,
        mtime_ns=mtime_ns,
        sha256=sha256,
        facts=PictureFacts(width, height, _notes_of(notes)),
        hides_colours=bool(hides),
        perceptual_hash=look + 2**63,
    )


_NOTES: dict[str, tuple[str, ...]] = {}


def _notes_of(text: str) -> tuple[str, ...]:
    """The same tuple for the same text: there are few of them, and many pictures."""
    if text not in _NOTES:
        _NOTES[text] = tuple(text.split("\n")) if text else ()
    return _NOTES[text]


def _checksum(values: tuple[Any, ...]) -> bytes:
    return hashlib.blake2b(repr(values).encode("utf-8", "replace"), digest_size=8).digest()
