"""What a reader is: it knows one way in which people write down what a picture is.

Every reader looks at a folder once and is then asked about each picture. Of each field the first
reader that knows it decides; readers come in the order of their number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ...core.errors import ConfigError
from ...core.registry import declared_objects
from ..booru_tags import SPACES, TAG_STYLES
from ..fault_book import FaultBook
from ..walk import Listing

DEFAULT_ENDINGS = (".txt", ".caption")


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What the person chose about reading.

    Attributes:
        endings: of caption files, in the order in which they are looked for.
        tags: how tag lists are written down: one of :data:`..booru_tags.TAG_STYLES`.
        class_as_caption: whether the name of a kohya folder is the caption where none is found.
        folder_names: whether names of folders mean something: subjects, repeats, roles.
        class_words: the same for all pictures, instead of what a folder's name says.
        meta_file: a table of kohya's that stands anywhere, and its name in messages.
    """

    endings: tuple[str, ...] = DEFAULT_ENDINGS
    tags: str = SPACES
    class_as_caption: bool = False
    folder_names: bool = True
    class_words: str = ""
    meta_file: tuple[Path, str] | None = None

    def __post_init__(self) -> None:
        if self.tags not in TAG_STYLES:
            raise ConfigError(
                f"tags is {self.tags!r}",
                expected=", ".join(TAG_STYLES),
                remedy="Choose one of these",
            )


@dataclass(frozen=True)
class Said:
    """What one reader knows about one picture; None is nothing.

    Attributes:
        caption: literal text.
        caption_file: where it stands, a POSIX path below the folder; None for a folder's name.
            With it and without a caption, it could not be read: no other caption is looked for.
        subject: value of ``{subject}``.
        role: one of :data:`..items.ROLES`.
        weight: how much it counts in the loss.
        repeats: how often it is shown while one of 1 is shown once.
        columns: further values for caption templates.
    """

    caption: str | None = None
    caption_file: str | None = None
    subject: str | None = None
    role: str | None = None
    weight: float | None = None
    repeats: float | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


class Reading(Protocol):
    """A folder as one reader sees it."""

    def of(self, picture: str) -> Said | None:
        """What is known about a picture, by its POSIX path below the folder."""

    def notes(self) -> list[str]:
        """What the person should know, after every picture was asked for."""


@dataclass(frozen=True)
class Reader:
    """A format.

    Attributes:
        name: its id.
        order: smaller numbers are asked first.
        title: what is said of a caption from it: "*title* was used instead of …".
        open: looks at a folder; what it cannot read goes into the book.
        fallback: its captions are for pictures without one, and not worth a word elsewhere.
        beside_given: asked also where the person named a table (``ReadOptions.meta_file``), which
            stands for whatever else was written about the pictures.
    """

    name: str
    order: int
    title: str
    open: Callable[[Listing, ReadOptions, FaultBook], Reading]
    fallback: bool = False
    beside_given: bool = False


def readers_for(options: ReadOptions) -> tuple[Reader, ...]:
    """The readers to be asked, the first to be asked first."""
    return tuple(one for one in readers() if options.meta_file is None or one.beside_given)


def readers() -> tuple[Reader, ...]:
    """Every reader, the first to be asked first."""
    from .. import readers as package

    return tuple(sorted(declared_objects(package, "READER").values(), key=lambda r: r.order))
