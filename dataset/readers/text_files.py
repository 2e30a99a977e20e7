"""Caption files: ``a.txt`` beside ``a.png``; also ``a.png.txt``, as downloaders write it."""

from __future__ import annotations

from collections import Counter

from ...core.errors import shorten
from ..booru_tags import AS_WRITTEN, is_tag_list, join_tags
from ..fault_book import FaultBook
from ..text import read_text
from ..walk import Listing, ending_of, stem_of
from .reader import Reader, ReadOptions, Said


class _TextFiles:
    def __init__(self, listing: Listing, options: ReadOptions, faults: FaultBook) -> None:
        self._listing, self._options, self._faults = listing, options, faults
        # Of most folders one is left, and nothing else is looked for.
        self._here = [e for e in options.endings if ending_of(f"x{e}") in listing.endings]
        self._endings: Counter[str] = Counter()
        self._rewritten: list[str] = []

    def of(self, picture: str) -> Said | None:
        found = self._file_of(picture)
        if found is None:
            return None
        ending, file = found
        self._endings[ending] += 1
        text = self._faults.attempt(file, lambda: read_text(self._listing.root / file, file))
        if text is None:
            return Said(caption_file=file)
        text = text.strip()
        if self._options.tags != AS_WRITTEN and is_tag_list(text):
            self._rewritten.append(file)
            text = join_tags(text.split(), self._options.tags)
        return Said(text, file)

    def _file_of(self, picture: str) -> tuple[str, str] | None:
        """The ending that was found, and the file."""
        for before in (stem_of(picture), picture):
            for ending in self._here:
                file = self._listing.find(before + ending)
                if file is not None:
                    return ending, file
        return None

    def notes(self) -> list[str]:
        notes = []
        if len(self._endings) > 1:
            counts = ", ".join(f"{count} {ending}" for ending, count in self._endings.items())
            notes.append(f"Captions come from files with different endings: {counts}.")
        if self._rewritten:
            notes.append(
                f"Tag lists with underscores were rewritten with {self._options.tags} "
                f"({len(self._rewritten)}): {shorten(self._rewritten)}."
            )
        return notes


READER = Reader(name="text files", order=10, title="a caption file", open=_TextFiles)
