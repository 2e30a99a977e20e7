"""Unpacking an archive from anywhere: nothing in it is believed before it was checked.

The list of names is judged first and as a whole; sizes are counted while unpacking, because an
archive can say anything about them.
"""

from __future__ import annotations

import contextlib
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NoReturn

from ..core.errors import DatasetError
from .intake_names import Twins, why_left_out

if TYPE_CHECKING:
    from .intake import Intake

MOST_RATIO = 200
RATIO_FREE_BYTES = 2**28
"""Drawings of few colours shrink a lot: small archives may, whatever their ratio."""
MOST_DIRECTORY_BYTES = 2**26
"""The list of names is read into memory at once."""
LEFT_OUT_SHOWN = 200
_BLOCK = 1 << 20
_UTF8_FLAG, _ENCRYPTED_FLAG = 0x800, 0x1
_COPY_NUMBER = re.compile(r"(\s*\(\d+\)|-\d+| copy| Kopie)$")
_REPEATS = re.compile(r"\d+_.+")
Entry = tuple[zipfile.ZipInfo, str]


def unpack(
    archive: Path, intake: Intake, *, most_bytes: int
) -> tuple[tuple[str, str], ...]:
    """Unpack what belongs to a dataset into the intake's folder.

    A single folder around everything is taken off where it has the archive's own name, so that
    ``cats.zip`` with ``cats/1.png`` in it is a dataset with ``1.png``.

    Returns:
        name and reason of what was left out, at most 200.

    Raises:
        DatasetError: it is no archive, damaged, encrypted, hostile, or too large.
    """
    _require_small_directory(archive)
    try:
        with zipfile.ZipFile(archive) as opened:
            entries, left_out = _choose(opened.infolist(), intake)
            shift = _wrapping(entries, intake.name)
            most = min(most_bytes, intake.limits.total_bytes)
            written, budget = 0, max(RATIO_FREE_BYTES, MOST_RATIO * archive.stat().st_size)
            for number, (info, name) in enumerate(entries):
                intake.check_cancelled()
                intake.done = number, len(entries)
                intake.touch()
                target = intake.resolve(intake.staged, name[shift:])
                written += _write(opened, info, name, target, intake.limits.file_bytes)
                if written > most or written > budget:
                    _refuse(f"unpacks to more than {written / 2**30:.1f} GiB",
                            "a dataset that fits on the disk, packed as usual")
            intake.done = len(entries), len(entries)
            return tuple(left_out[:LEFT_OUT_SHOWN])
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error,
            RuntimeError, UnicodeError, MemoryError) as error:
        _refuse(f"cannot be unpacked: {error or type(error).__name__}", "a whole .zip file")


def _choose(
    infos: Sequence[zipfile.ZipInfo], intake: Intake
) -> tuple[list[Entry], list[tuple[str, str]]]:
    """The files to be taken with their names, and those left out with the reason."""
    taken: list[Entry] = []
    left_out: list[tuple[str, str]] = []
    twins, seen = Twins(), set[str]()
    for info in infos:
        name = _name(info)
        if name.endswith("/"):
            continue
        # Also of what is left out: an archive that tries this is not to be trusted with the rest.
        intake.resolve(intake.staged, name)
        reason = _link(info) or why_left_out(name)
        if reason is None and info.file_size > intake.limits.file_bytes:
            reason = f"larger than {intake.limits.file_bytes // 2**20} MiB"
        if reason:
            left_out.append((name, reason))
            continue
        if info.flag_bits & _ENCRYPTED_FLAG:
            _refuse("is encrypted", "an archive without a password")
        if name in seen:
            _refuse(f"has {name!r} twice", "every name once")
        seen.add(name)
        twins.require_new(name)
        taken.append((info, name))
        if len(taken) > intake.limits.files:
            _refuse(f"has more than {intake.limits.files} files", "fewer of them")
    return taken, left_out


def _name(info: zipfile.ZipInfo) -> str:
    """The name as it was meant: macOS writes UTF-8 without saying so, old Windows tools ``\\``."""
    name = info.orig_filename
    if not info.flag_bits & _UTF8_FLAG:
        # Else some other alphabet: letters look odd, but picture and caption alike.
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _link(info: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    return None if kind in (0, stat.S_IFREG) else "a link or device, and no file"


def _wrapping(entries: Sequence[Entry], wanted: str) -> int:
    """How many letters of a folder around everything come off."""
    tops = {PurePosixPath(name).parts[0] for _, name in entries if "/" in name}
    if len(tops) != 1 or any("/" not in name for _, name in entries):
        return 0
    (top,) = tops
    plain = {_COPY_NUMBER.sub("", text).casefold() for text in (top, wanted)}
    # 10_cat is not a wrapping: kohya's trainers read from it that its pictures count tenfold.
    return len(top) + 1 if len(plain) == 1 and not _REPEATS.fullmatch(top) else 0


def _write(opened: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, target: Path,
           most_bytes: int) -> int:
    written = 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(info) as source, open(target, "xb") as file:
        while block := source.read(_BLOCK):
            written += len(block)
            if written > most_bytes:
                _refuse(f"has {name!r}, which is larger than it says",
                        f"files of at most {most_bytes // 2**20} MiB")
            file.write(block)
    return written


def _require_small_directory(archive: Path) -> None:
    """Look at the archive's end, before its list of names is read into memory."""
    with open(archive, "rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 65_557))
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < 22:
            _refuse("is no .zip archive, or only the beginning of one", "a whole .zip file")
        count, directory = struct.unpack_from("<HI", tail, at + 10)
        zip64 = tail.rfind(b"PK\x06\x06", 0, at)
        if (count == 0xFFFF or directory == 0xFFFFFFFF) and zip64 >= 0 and at - zip64 >= 56:
            directory = struct.unpack_from("<Q", tail, zip64 + 40)[0]
    if directory > min(size, MOST_DIRECTORY_BYTES):
        _refuse(f"has a list of names of {directory / 2**20:.0f} MiB", "a usual archive")


def _refuse(found: str, expected: str) -> NoReturn:
    raise DatasetError(
        f"The archive {found}", expected=expected, remedy="Pack it again, or upload the folder"
    )
