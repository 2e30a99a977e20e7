"""A dataset that arrives file by file, and is there whole or not at all.

Files are collected in a hidden folder beside the datasets, on the same disk. Publishing is one
rename to a name that was free. Whatever breaks off (a closed tab, a dead connection, a killed
server) leaves only the hidden folder, which is swept away when it has been quiet for an hour.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ..core.errors import DatasetError
from .free_name import rename_to_free
from .intake_names import PICTURES, Twins, why_left_out
from .items import MAX_FILE_BYTES
from .own_files import refused
from .unzip import unpack

STAGED_PREFIX = ".upload-"
IDLE_S = 3600.0
FREE_RESERVE_BYTES = 2**30
"""Never filled by an upload: the disk also holds the person's runs."""
ARCHIVE = "archive.zip"
Resolve = Callable[[Path, str], Path]
"""The path of an untrusted name below a folder; raises a ``KilnError`` when it leads out."""


@dataclass(frozen=True)
class Limits:
    """What one upload may bring.

    Attributes:
        files: how many files.
        file_bytes: the largest file; what is larger is refused by the scan, too.
        total_bytes: all together, unpacked.
    """

    files: int = 200_000
    file_bytes: int = MAX_FILE_BYTES
    total_bytes: int = 2**36


@dataclass(frozen=True)
class Published:
    """A dataset that has arrived.

    Attributes:
        name: of its folder: the wanted one, or with a number behind where that was taken.
        files: how many.
        pictures: how many of them are pictures.
        left_out: name and reason of what an archive had besides.
    """

    name: str
    files: int
    pictures: int
    left_out: tuple[tuple[str, str], ...]


@dataclass
class _Arriving:
    size: int
    received: int = 0
    busy: bool = False


@dataclass
class Intake:
    """One upload, from its first file to its publication.

    Attributes:
        id: a random word.
        name: what the dataset shall be called.
        folder: where it is collected.
        parent: where it will stand.
        zipped: whether it comes as one archive.
        limits: see :class:`Limits`.
        resolve: contains names.
        done: files unpacked so far, and of how many; for a progress bar.
        cancelled: set while it unpacks, to have it stop and forget everything.
    """

    id: str
    name: str
    folder: Path
    parent: Path
    zipped: bool
    limits: Limits
    resolve: Resolve
    done: tuple[int, int] = (0, 0)
    cancelled: bool = False
    _files: dict[str, _Arriving] = field(default_factory=dict)
    _announced_bytes: int = 0
    _twins: Twins = field(default_factory=Twins)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False
    _answer: Published | None = None

    @property
    def staged(self) -> Path:
        """The folder that is published."""
        return self.folder / "files"

    @contextlib.contextmanager
    def part(self, relative: str, offset: int, size: int) -> Iterator[BinaryIO]:
        """Open a file for a part of it. The same part may come again, after a lost connection.

        Args:
            relative: its path below the dataset's folder; of an archive :data:`ARCHIVE`.
            offset: where the part begins.
            size: of the whole file.

        Raises:
            DatasetError: the name, the size or the order is not right, or the upload has ended.
        """
        entry = self._admit(relative, offset, size)
        path = self._path(relative)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.touch()
            with open(path, "r+b" if path.exists() else "xb") as file:
                file.seek(offset)
                file.truncate()
                # Should this part break off, what stood behind it is gone, too.
                entry.received = offset
                yield file
                file.flush()
                if file.tell() == size:
                    os.fsync(file.fileno())
                entry.received = file.tell()
        except (FileExistsError, NotADirectoryError) as error:
            raise _odd(relative, "and a folder of this name, too") from error
        finally:
            entry.busy = False

    def publish(self, count: int) -> Published:
        """Give the dataset its name. Asked again, it answers the same.

        Args:
            count: how many files the sender has sent.

        Raises:
            DatasetError: files are missing, there is no picture, or the archive is not right.
        """
        with self._lock:
            if self._answer is None:
                self._require_complete(count)
                self._closed = True
                self._answer = self._publish()
            return self._answer

    def check_cancelled(self) -> None:
        """Raise a DatasetError where the person has cancelled."""
        if self.cancelled:
            raise _ended()

    def touch(self) -> None:
        """Show that it goes on, so that it is not swept away."""
        os.utime(self.folder)

    def abandon(self) -> None:
        """Forget everything that came."""
        self._closed = True
        shutil.rmtree(self.folder, ignore_errors=True)

    def _admit(self, relative: str, offset: int, size: int) -> _Arriving:
        most = self.limits.total_bytes if self.zipped else self.limits.file_bytes
        if not 0 <= offset <= size <= most:
            raise _odd(relative, f"{size} bytes, of which this part begins at {offset}", most)
        if "\\" in relative:
            # One file to Windows and to whoever contains names, two to the list of names here.
            raise _odd(relative, "a name with a backslash")
        if self.zipped != (relative == ARCHIVE):
            raise _odd(relative, "not what this upload was begun for")
        reason = None if self.zipped else why_left_out(relative)
        if reason:
            raise _odd(relative, reason)
        with self._lock:
            if self._closed:
                raise _ended()
            entry = self._files.get(relative)
            if entry is None:
                self._path(relative)
                self._twins.require_new(relative)
                entry = self._files.setdefault(relative, _Arriving(size))
                self._announced_bytes += size
                self._require_room()
            if entry.busy or entry.size != size or offset > entry.received:
                raise _odd(relative, f"another part under way, or {entry.received} bytes so far")
            entry.busy = True
        return entry

    def _require_room(self) -> None:
        total = self._announced_bytes
        if len(self._files) > self.limits.files or total > self.limits.total_bytes:
            raise DatasetError(
                f"The upload has {len(self._files)} files and {total / 2**30:.1f} GiB",
                expected=f"at most {self.limits.files} files and "
                f"{self.limits.total_bytes / 2**30:.0f} GiB",
                remedy="Copy the folder into ComfyUI's input folder yourself",
            )

    def _path(self, relative: str) -> Path:
        if relative == ARCHIVE and self.zipped:
            return self.folder / ARCHIVE
        return self.resolve(self.staged, relative)

    def _require_complete(self, count: int) -> None:
        if self._closed:
            raise _ended()
        broken = [name for name, e in self._files.items() if e.busy or e.received != e.size]
        if broken or count != len(self._files):
            raise DatasetError(
                f"{len(self._files) - len(broken)} of {count} files have arrived whole",
                expected="all of them",
                remedy="Upload again" if not broken else f"Send {broken[0]} again",
            )

    def _publish(self) -> Published:
        try:
            left_out: tuple[tuple[str, str], ...] = ()
            if self.zipped:
                free = shutil.disk_usage(self.folder).free - FREE_RESERVE_BYTES
                left_out = unpack(self.folder / ARCHIVE, self, most_bytes=free)
            files = [path for path in self.staged.rglob("*") if path.is_file()]
            pictures = sum(path.suffix.lower() in PICTURES for path in files)
            if not pictures:
                raise DatasetError(
                    f"There is no picture in {self.name}, but {len(files)} other files",
                    expected=f"files ending in {', '.join(sorted(PICTURES))}",
                    remedy="Choose the folder that the pictures are in",
                )
            self.check_cancelled()
            name = rename_to_free(self.staged, self.parent, self.name)
            return Published(name, len(files), pictures, left_out)
        except OSError as error:
            raise refused(self.parent / self.name, error) from error
        finally:
            self.abandon()


def begin(parent: Path, name: str, *, zipped: bool, total_bytes: int, resolve: Resolve,
          limits: Limits | None = None) -> Intake:
    """Begin an upload.

    Args:
        parent: the folder of all uploaded datasets; made when it is not there.
        name: what the dataset shall be called; already checked as a file name.
        zipped: whether one archive will come, and no files.
        total_bytes: what the sender is going to send.
        resolve: contains names.
        limits: see :class:`Limits`.

    Raises:
        DatasetError: the disk has no room for it.
    """
    limits = limits or Limits()
    made = Intake("", name, parent, parent, zipped, limits, resolve)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(parent).free - FREE_RESERVE_BYTES
        if total_bytes > min(free, limits.total_bytes):
            raise DatasetError(
                f"The upload has {total_bytes / 2**30:.1f} GiB",
                expected=f"at most {min(free, limits.total_bytes) / 2**30:.1f} GiB",
                remedy="Free some space on ComfyUI's disk, or upload fewer pictures",
            )
        made.id = uuid.uuid4().hex
        made.folder = parent / f"{STAGED_PREFIX}{made.id}"
        made.staged.mkdir(parents=True)
    except OSError as error:
        raise refused(parent, error) from error
    return made


def sweep_broken(parent: Path, *, older_than_s: float = IDLE_S) -> int:
    """Remove uploads that broke off; returns how many."""
    count = 0
    for folder in parent.glob(f"{STAGED_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime >= older_than_s:
                shutil.rmtree(folder, ignore_errors=True)
                count += 1
    return count


def _odd(relative: str, found: str, most: int | None = None) -> DatasetError:
    return DatasetError(
        f"{PurePosixPath(relative).name!r} is {found}",
        expected="a picture, caption, metadata or mask file"
        + (f" of at most {most // 2**20} MiB" if most else ", sent once from its beginning"),
        remedy="Upload again without it",
    )


def _ended() -> DatasetError:
    return DatasetError(
        "This upload has ended", expected="one that goes on", remedy="Upload again"
    )
