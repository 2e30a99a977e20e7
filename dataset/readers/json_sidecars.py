"""JSON beside a picture: what a picture board says about a post, or a caption.

``a.json``, ``a.png.json`` (gallery-dl) and ``a-danbooru.json`` (DanbooruDownloader) belong to
``a.png``. The tags may be Danbooru's ``tag_string_general`` and its sisters, gallery-dl's
``tags_general``, e621's ``tags`` by category, or plain ``tags``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...core.errors import DatasetError, shorten
from ..booru_tags import join_tags
from ..fault_book import FaultBook
from ..json_text import parse_json
from ..text import read_text
from ..walk import Listing, stem_of
from .reader import Reader, ReadOptions, Said

LIMIT_BYTES = 8 * 2**20
CATEGORIES = ("character", "copyright", "species", "general", "artist", "meta")
IN_CAPTION = ("character", "copyright", "species", "general")
"""Who drew it and how large the file is cannot be seen in the picture: those are columns only."""
_CAPTIONS = ("caption", "text")
_COPIED = ("rating", "score", "source", "id", "md5")


class _JsonSidecars:
    def __init__(self, listing: Listing, options: ReadOptions, faults: FaultBook) -> None:
        self._listing, self._options, self._faults = listing, options, faults
        self._unknown: list[str] = []
        self._none_here = ".json" not in listing.endings

    def of(self, picture: str) -> Said | None:
        if self._none_here:
            return None
        stem = stem_of(picture)
        for name in (f"{stem}.json", f"{picture}.json", f"{stem}-danbooru.json"):
            file = self._listing.find(name)
            if file is not None:
                return self._read(file)
        return None

    def _read(self, file: str) -> Said | None:
        path = self._listing.root / file
        value = self._faults.attempt(file, lambda: read_json(path, file, LIMIT_BYTES))
        if value is None:
            return None
        said = _said(value, file, self._options.tags) if isinstance(value, dict) else None
        if said is None:
            self._unknown.append(file)
        return said

    def notes(self) -> list[str]:
        files = self._unknown
        return [
            f"JSON files beside pictures have neither tags nor a caption ({len(files)}): "
            f"{shorten(files)}."
        ] if files else []  # fmt: skip


def read_json(path: Path, file: str, limit_bytes: int) -> Any:
    """The value in a JSON file.

    Raises:
        DatasetError: it is malformed, not UTF-8, too large, or cannot be read.
    """
    try:
        return parse_json(read_text(path, file, limit_bytes=limit_bytes))
    except DatasetError:  # It is a ValueError, too.
        raise
    except ValueError as error:
        raise DatasetError(
            f"{file} is malformed: {error}",
            expected="JSON",
            remedy="Write it anew, or take it out of the folder",
        ) from error


def tags_by_category(post: Mapping[str, Any]) -> dict[str, list[str]]:
    """The tags of a post; those whose category is not told are ``general``."""
    tags = post.get("tags")
    found: dict[str, list[str]] = {}
    for category in CATEGORIES:
        sources = [post.get(f"tag_string_{category}"), post.get(f"tags_{category}")]
        if isinstance(tags, dict):
            sources.append(tags.get(category))
        words = next((list(_words(source)) for source in sources if source), [])
        if words:
            found[category] = words
    if not found:
        words = list(_words(post.get("tag_string") or tags))
        return {"general": words} if words else {}
    return found


def _words(value: Any) -> Iterator[str]:
    """Single tags of a list, or of a text with commas or spaces between them."""
    if isinstance(value, str):
        parts = value.split(",") if "," in value else value.split()
        yield from (part.strip() for part in parts if part.strip())
    elif isinstance(value, list):
        yield from (part.strip() for part in value if isinstance(part, str) and part.strip())


def _said(post: Mapping[str, Any], file: str, style: str) -> Said | None:
    tags = tags_by_category(post)
    caption = next((post[key].strip() for key in _CAPTIONS if isinstance(post.get(key), str)), None)
    if caption is None and tags:
        shown = [tag for category in IN_CAPTION for tag in tags.get(category, [])]
        caption = join_tags(shown, style) or None
    columns = {f"tags_{category}": join_tags(words, style) for category, words in tags.items()}
    if caption is None and not columns:
        return None
    copied = {key: post.get(key) for key in _COPIED}
    columns |= {k: str(v) for k, v in copied.items() if isinstance(v, (str, int)) and v}
    return Said(caption, file if caption is not None else None, columns=columns)


READER = Reader(name="json sidecars", order=20, title="a JSON file", open=_JsonSidecars)
