"""A zip archive as a stream of bytes: made while it is sent, never whole in memory or on disk."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ZIP64_FROM = 2**31


@dataclass(frozen=True)
class Entry:
    """A file of an archive.

    Attributes:
        name: in the archive, with forward slashes.
        path: where its bytes are.
    """

    name: str
    path: Path


class _Pipe(io.RawIOBase):
    """Collects what the archive writes until it is taken. It cannot seek: nothing is revised."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        block = bytes(data)  # type: ignore[call-overload]
        self._blocks.append(block)
        return len(block)

    def take(self) -> bytes:
        taken, self._blocks = b"".join(self._blocks), []
        return taken


def zip_blocks(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The archive's bytes, in blocks of about 1 MiB.

    The same files give the same bytes: pictures and weights do not shrink, so nothing is
    compressed, and no times are kept. A file that grows while it is read is cut where it ended
    when its turn came.

    Raises:
        OSError: a file is gone, or became shorter. The archive then has no end, and whoever
            receives it sees that it is broken.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for entry in entries:
            with open(entry.path, "rb") as source:
                left = source.seek(0, 2)
                source.seek(0)
                info = zipfile.ZipInfo(_writable(entry.name), _EPOCH)
                info.external_attr = 0o100644 << 16
                with archive.open(info, "w", force_zip64=left >= _ZIP64_FROM) as target:
                    while left:
                        block = source.read(min(_BLOCK, left))
                        if not block:
                            raise OSError(f"{entry.name} became shorter while it was read")
                        left -= len(block)
                        target.write(block)
                        yield pipe.take()
            yield pipe.take()
    yield pipe.take()


def _writable(name: str) -> str:
    """A name that an archive can hold: Linux lets files be named in bytes that are no text.

    Such bytes are read as Western letters, so that picture and caption still go together.
    """
    return "".join(chr(ord(c) - 0xDC00) if "\udc80" <= c <= "\udcff" else c for c in name)
