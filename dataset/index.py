"""Looking at many picture files: what is known is read, the rest decoded, several at once.

Facts belong to a path as long as size and modification time stay the same. They can be computed
again at any time, so nothing is lost with the index.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import replace
from pathlib import Path

from ..core.errors import DatasetError
from ..core.protocols import Progress
from .examine import examine
from .facts import PictureRecord
from .index_file import MOST_ROWS, IndexFile, Stamp
from .items import PictureFile

AT_ONCE = 500
"""Files that are asked for together; what is held in between is no more than their records."""
MOST_WORKERS = 8
SETTLED_NS = 2 * 10**9
"""A file written less than this ago may be written again without its time changing: file systems
count in steps of up to two seconds."""
_POLL_S = 0.1
_WRITE_EVERY_S = 2.0
Looked = PictureFile | DatasetError


class PictureIndex:
    """A place where facts about picture files are kept. Close it, or use it in a ``with``.

    Args:
        path: its SQLite file.
        most_rows: how many files it remembers.

    Raises:
        DatasetError: the file can be neither read nor made.
    """

    def __init__(self, path: Path, *, most_rows: int = MOST_ROWS) -> None:
        self._file = IndexFile(path, most_rows=most_rows)

    def __enter__(self) -> PictureIndex:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def known(self, files: Sequence[PictureFile]) -> dict[Path, PictureRecord]:
        """Records of those files that are as they were when they were examined, by path."""
        stamps = {file.path: stamp for file in files if (stamp := _stamp(file.path)) is not None}
        return self._file.find(stamps)

    def remember(self, records: Sequence[tuple[Path, PictureRecord]]) -> None:
        """Keep what was found, except of files that were written just now."""
        now = time.time_ns()
        self._file.add(
            (path, record)
            for path, record in records
            if not 0 <= now - record.mtime_ns < SETTLED_NS and _stamp(path) == record.stamp
        )


def look_at_all(
    files: Sequence[PictureFile],
    *,
    index: PictureIndex | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
) -> Generator[Looked, None, None]:
    """Examine picture files, in order; each is decoded at most once in its life.

    Leave it early through ``contextlib.closing``, or the threads go on with what was begun.

    Memory is bounded: besides the records of :data:`AT_ONCE` files, as many pictures are held as
    there are workers, together of at most 64 million pixels.

    Args:
        files: the pictures.
        index: what is known already, and where what is found is kept. None decodes them all.
        progress: asked several times a second whether to stop; its interrupt is passed on.
        workers: threads that decode; by default one for each core, eight at most.

    Yields:
        For every file the same with its ``record``; or the error that a person should read.
    """
    count = workers or min(os.cpu_count() or 1, MOST_WORKERS)
    pool = ThreadPoolExecutor(count, thread_name_prefix="kiln-decode")
    try:
        for begin in range(0, len(files), AT_ONCE):
            yield from _look_at(files[begin : begin + AT_ONCE], index, progress, pool)
    finally:
        # Those in progress end by themselves; nobody waits for a picture nobody wants.
        pool.shutdown(wait=False, cancel_futures=True)


def _look_at(
    files: Sequence[PictureFile],
    index: PictureIndex | None,
    progress: Progress | None,
    pool: ThreadPoolExecutor,
) -> Iterator[Looked]:
    check = progress.check_cancelled if progress is not None else lambda: None
    check()
    known = index.known(files) if index is not None else {}
    futures = {f.path: pool.submit(_examined, f) for f in files if f.path not in known}
    keeper = _Keeper(index)
    try:
        for file in files:
            record = known.get(file.path) or _result(futures[file.path], check)
            if isinstance(record, DatasetError):
                yield record
                continue
            if file.path in futures:
                keeper.add(file.path, record)
            yield replace(file, record=record)
    finally:
        keeper.write()


class _Keeper:
    """Gathers records and writes them now and then, so that a kill loses seconds of work."""

    def __init__(self, index: PictureIndex | None) -> None:
        self._index = index
        self._records: list[tuple[Path, PictureRecord]] = []
        self._written_s = time.monotonic()

    def add(self, path: Path, record: PictureRecord) -> None:
        self._records.append((path, record))
        if time.monotonic() - self._written_s > _WRITE_EVERY_S:
            self.write()

    def write(self) -> None:
        if self._index is not None:
            self._index.remember(self._records)
        self._records, self._written_s = [], time.monotonic()


def _examined(file: PictureFile) -> PictureRecord | DatasetError:
    try:
        return examine(file)
    except DatasetError as error:
        # Without the frames it passed through, which hold the picture.
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)


def _result(
    future: Future[PictureRecord | DatasetError], check: Callable[[], None]
) -> PictureRecord | DatasetError:
    while True:
        try:
            return future.result(timeout=_POLL_S)
        except NotYet:
            if future.done():
                return future.result()
            check()


def _stamp(path: Path) -> Stamp | None:
    """None where there is no such file: examining it says so."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
