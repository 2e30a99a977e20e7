"""What a dataset is made of: pictures, wherever they are kept, and their captions."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..core.errors import DatasetError
from ..core.settings import digest
from .colour import hex_colour
from .facts import PictureRecord

if TYPE_CHECKING:
    from .lint.report import LintReport

MAX_FILE_BYTES = 64 * 2**20
"""A picture file larger than this is refused before it is read."""
_REMEMBERED_FILES = 8192
TRAIN, REGULARISATION, VALIDATION = "train", "regularisation", "validation"
ROLES = (TRAIN, REGULARISATION, VALIDATION)
"""What a picture is for: trained on; trained on so that the model keeps what it knew; held out."""
FOCUS_COLUMN = "focus"
"""Of the metadata: the point that a cut is laid around. See :func:`.focus.focus_of`."""


class PictureSource(Protocol):
    """Where pixels come from: a :class:`PictureFile`, :class:`PictureArray`, for masks also a
    :class:`PictureAlpha`.
    """

    @property
    def name(self) -> str:
        """What the picture is called in messages."""

    @property
    def sha256(self) -> str:
        """Hash of the content, 64 hex digits; decides what is cached."""


@dataclass(frozen=True)
class PictureFile:
    """A picture file. Its hash is taken once and then stands for what was looked at.

    Attributes:
        path: the file.
        name: what it is called in messages, usually its path below the dataset's folder.
        record: what was found when its folder was scanned; None where nobody has looked yet.
    """

    path: Path
    name: str
    record: PictureRecord | None = field(default=None, compare=False, repr=False)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file's bytes when it was scanned, or else when first asked."""
        if self.record is not None:
            return self.record.sha256
        size, mtime_ns = file_stamp(self.path, self.name)
        return _file_sha256(self.path, self.name, size, mtime_ns)

    def read(self) -> bytes:
        """The file's bytes.

        Raises:
            DatasetError: it cannot be read, or it is larger than 64 MiB.
        """
        file_stamp(self.path, self.name)
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise _unreadable(self.name, error) from error

    def read_unchanged(self) -> bytes:
        """The file's bytes, but only those that the hash stands for.

        Raises:
            DatasetError: see :meth:`read`; or it was written since the hash was taken.
        """
        before, data = self.sha256, self.read()
        if sha256_of(data) != before:
            raise DatasetError(
                f"{self.name} has changed since its folder was read",
                expected="files that stay as they are while the graph runs",
                remedy="Queue the graph again",
            )
        return data


@dataclass(frozen=True)
class PictureAlpha:
    """The alpha channel of a picture, as a mask: opaque parts are trained on.

    Attributes:
        picture: whose alpha channel it is.
    """

    picture: PictureSource

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"the alpha channel of {self.picture.name}"

    @cached_property
    def sha256(self) -> str:
        """Another hash than the picture's own, which as a mask would be its brightness."""
        return digest(["alpha", self.picture.sha256])


@dataclass(frozen=True, eq=False)
class PictureArray:
    """A picture in memory, from a node's IMAGE output.

    Attributes:
        name: what it is called in messages.
        pixels: (H, W, 3 or 4) uint8, straight alpha.
    """

    name: str
    pixels: np.ndarray

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or len(shape) != 3 or shape[2] not in (3, 4):
            raise DatasetError(
                f"{self.name} is an array of shape {shape} and type {self.pixels.dtype}",
                expected="height x width x 3 or 4 values of 8 bits",
                remedy="Link an ordinary IMAGE output",
            )

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of shape and pixels."""
        content = hashlib.sha256(repr(self.pixels.shape).encode("ascii"))
        content.update(np.ascontiguousarray(self.pixels).tobytes())
        return content.hexdigest()


@dataclass(frozen=True)
class Origin:
    """A folder that was scanned, for those who look at its files again: lint, saved captions.

    Attributes:
        root: the folder.
        name: what it is called in a graph, such as ``input/my_pictures``.
        files: every file that the scan saw, POSIX paths below the root, in natural order.
        caption_extensions: endings of caption files in the order in which they were looked for.
    """

    root: Path
    name: str
    files: tuple[str, ...]
    caption_extensions: tuple[str, ...]

    def __hash__(self) -> int:
        """Not over the files: every picture of 50,000 looks its origin up."""
        return hash((self.root, self.name))


@dataclass(frozen=True)
class Fault:
    """A file that could not be read, and was left out because the person asked for a report.

    Attributes:
        origin: where it is.
        file: its POSIX path below the origin's root.
        error: why, as the scan would have said it.
    """

    origin: Origin
    file: str
    error: DatasetError


@dataclass(frozen=True)
class DatasetItem:
    """One picture with what is known about it.

    Attributes:
        name: unique within the dataset; for a file its path below the folder.
        source: the pixels.
        caption: literal text, or None where none was found.
        subject: first folder level below the dataset's folder, or from metadata.
        role: one of :data:`ROLES`.
        weight: how much it counts in the loss.
        columns: further metadata by column name, for caption templates.
        mask: as large as the picture; white parts are trained on, black ones are not. None
            trains on the whole picture.
        repeats: how often it is shown while one of 1 is shown once; above 0.
        origin: the folder it is from; None for pictures from the graph.
        file: its POSIX path below the origin's root; empty without one.
        caption_file: where its caption was read, a POSIX path below the root: a file of its own,
            or one that it shares with others (``metadata.csv``). None where nothing was read.
        provenance: how texts came about that a model wrote: ``caption``, or the name of a column,
            to a JSON value with model, settings and raw output.
    """

    name: str
    source: PictureSource
    caption: str | None = None
    subject: str | None = None
    role: str = TRAIN
    weight: float = 1.0
    columns: Mapping[str, str] = field(default_factory=dict)
    mask: PictureSource | None = None
    repeats: float = 1.0
    origin: Origin | None = None
    file: str = ""
    caption_file: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def focus(self) -> str:
        """The point that a cut is laid around, as the person wrote it; empty without one."""
        return self.columns.get(FOCUS_COLUMN, "").strip()


@dataclass(frozen=True)
class Dataset:
    """Pictures in a fixed order.

    Attributes:
        items: the pictures.
        name: what the person calls it.
        background: colour behind transparent parts: a name or ``#rrggbb``.
        notes: what the person should know, one sentence each.
        origins: the folders it is from, also those without a readable picture.
        faults: files that could not be read and were left out. Training refuses a dataset that
            has any.
        lint: what the lint last found in it; None where it was not asked.
    """

    items: tuple[DatasetItem, ...]
    name: str
    background: str = "white"
    notes: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()
    faults: tuple[Fault, ...] = ()
    lint: LintReport | None = None

    def __len__(self) -> int:
        return len(self.items)

    def with_captions(self, captions: Sequence[str | None]) -> Dataset:
        """The same pictures with other captions, in order."""
        items = tuple(
            dataclasses.replace(item, caption=caption)
            for item, caption in zip(self.items, captions, strict=True)
        )
        return dataclasses.replace(self, items=items)

    def with_notes(self, *notes: str) -> Dataset:
        """The same dataset with further notes."""
        return dataclasses.replace(self, notes=self.notes + notes)

    def names_without_caption(self) -> list[str]:
        """Names of the pictures whose caption is missing, in order."""
        return [item.name for item in self.items if item.caption is None]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything a training sees: pictures, masks, captions, roles, weights, focus."""
        rows = [
            [it.source.sha256, it.caption, it.role, it.weight]
            + ([it.mask.sha256] if it.mask is not None else [])
            # Absent otherwise, so that datasets from before there were these keep their hash.
            + ([{"repeats": it.repeats}] if it.repeats != 1 else [])
            + ([{"focus": it.focus}] if it.focus else [])
            for it in self.items
        ]
        return digest({"items": rows, "background": hex_colour(self.background)})


def sha256_of(data: bytes) -> str:
    """SHA-256 of bytes as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def file_stamp(path: Path, name: str) -> tuple[int, int]:
    """Size in bytes and modification time in ns of a picture file.

    Raises:
        DatasetError: it is not there, is empty, or is larger than 64 MiB.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise _unreadable(name, error) from error
    if stat.st_size == 0:
        raise DatasetError(
            f"{name} is an empty file",
            expected="a picture",
            remedy="Copy it again from where it came, or take it out of the folder",
        )
    if stat.st_size > MAX_FILE_BYTES:
        raise DatasetError(
            f"{name} has {stat.st_size / 2**20:.0f} MiB",
            expected=f"at most {MAX_FILE_BYTES // 2**20} MiB per picture",
            remedy="Save it smaller; training needs no more than a few megapixels",
        )
    return stat.st_size, stat.st_mtime_ns


# Size and time are part of the key, so a file that changed is read again.
@lru_cache(maxsize=_REMEMBERED_FILES)
def _file_sha256(path: Path, name: str, size: int, mtime_ns: int) -> str:
    try:
        return sha256_of(path.read_bytes())
    except OSError as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: OSError) -> DatasetError:
    return DatasetError(
        f"{name} cannot be read: {error.strerror or error}",
        expected="a file that ComfyUI may read",
        remedy="Check that it is still there and that its permissions allow reading",
    )
