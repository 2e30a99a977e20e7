"""Files of a dataset that may be changed: named from its folder, and never outside of it."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from ..core.errors import DatasetError
from .items import MAX_FILE_BYTES, sha256_of

STATE_FOLDER = ".kiln"
"""Below a dataset's folder: the journal of changes, and what belongs to the tools alone."""


def contained_file(root: Path, relative: str) -> Path:
    """The path of a file that may be changed: below the folder, links of folders followed.

    Raises:
        DatasetError: it leads out of the folder or into ``.kiln``.
    """
    parts = PurePosixPath(relative).parts
    plain = bool(parts) and not PurePosixPath(relative).is_absolute() and ".." not in parts
    bad_letters = "\\" in relative or "\0" in relative or (os.name == "nt" and ":" in relative)
    if plain and not bad_letters and parts[0].casefold() != STATE_FOLDER:
        path = root.joinpath(*parts)
        real_root = os.path.realpath(root)
        if os.path.commonpath([real_root, os.path.realpath(path.parent)]) == real_root:
            return path
    raise DatasetError(
        f"The name {relative!r} leads out of the dataset's folder",
        expected="a file below it",
        remedy="Name a file of the dataset",
    )


def hash_now(root: Path, relative: str) -> str | None:
    """SHA-256 of a file as it is now; None where there is none.

    Raises:
        DatasetError: its name leads out of the folder, or it cannot be read.
    """
    path = contained_file(root, relative)
    return sha256_of(read_small(path, relative)) if os.path.lexists(path) else None


def read_small(path: Path, relative: str) -> bytes:
    """The bytes of a file; of one larger than 64 MiB a stand-in for them."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            # Named by what it is: nobody wants gigabytes read to rename a file.
            return f"large {path.stat().st_size} {path.stat().st_mtime_ns}".encode("ascii")
        return path.read_bytes()
    except OSError as error:
        raise refused(Path(relative), error) from error


def require_own_file(root: Path, relative: str) -> None:
    """Whether a file may be written: it is not there yet, or is a small file of the dataset's own.

    Raises:
        DatasetError: it is a link, a folder, or larger than 64 MiB.
    """
    path = contained_file(root, relative)
    if path.is_symlink() or path.is_dir():
        what = "a link to another file" if path.is_symlink() else "a folder"
        raise DatasetError(
            f"{relative} is {what}",
            expected="a file of the dataset's own, or none yet",
            remedy="Copy the file that it leads to into the dataset's folder",
        )
    if path.exists() and path.stat().st_size > MAX_FILE_BYTES:
        raise DatasetError(
            f"{relative} has {path.stat().st_size / 2**20:.0f} MiB",
            expected=f"at most {MAX_FILE_BYTES // 2**20} MiB, so that a copy can be kept",
            remedy="Check whether it is the right file",
        )


def refused(path: Path, error: OSError) -> DatasetError:
    """The error of a disk, told to a person."""
    return DatasetError(
        f"{path.name} cannot be changed: {error.strerror or error}",
        expected="a folder that ComfyUI may write into",
        remedy="Check the permissions and the free space; nothing was changed",
    )
