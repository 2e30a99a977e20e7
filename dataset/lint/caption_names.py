"""Captions that miss their picture by a hair: ``imag123.txt`` beside ``image123.png``.

A caption without a picture is held against the pictures without a caption of the same folder.
Numbers are not typing errors: ``image12.txt`` is not offered for ``image21.png``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ..changes import MoveFile
from ..scan import PICTURE_EXTENSIONS
from .edits import edit_distance
from .finding import Fix
from .folder import Folder, ending_of, parent_of, same_to_a_person, stem_of

MOST_EDITS = 2
MOST_COMPARISONS = 1_000_000
"""Of names of one folder; beyond, only case, spaces and punctuation are seen through."""
_NUMBERS = re.compile(r"\d+")
_COPY = re.compile(r"^(?P<name>.+?)(?: ?\(\d{1,3}\)| - Copy(?: \(\d+\))?| copy(?: \d+)?)$")
_PUNCTUATION = re.compile(r"[\W_]+")
_NO_CAPTIONS = {"readme", "license", "licence", "notes", "requirements", "classes", "prompts"}


@dataclass(frozen=True)
class NearMiss:
    """A caption that may belong to a picture.

    Attributes:
        caption: the file without a picture.
        pictures: those that it may be for; several where it is not clear.
        target: the name that it should have; of the first picture.
        certain: whether nothing else is likely.
        edits: letters that differ; 0 where only case, spaces or endings do.
    """

    caption: str
    pictures: tuple[str, ...]
    target: str
    certain: bool
    edits: int


@dataclass(frozen=True)
class CaptionNames:
    """How the caption files of a folder fit its pictures.

    Attributes:
        near: captions with a picture of nearly their name.
        copies: captions parted from their picture by the name that a browser or a file manager
            gives to a copy: ``123 (1).png`` and ``123.txt``.
        orphans: captions with no picture, and none near.
        uncompared: how many names were too many to be compared letter by letter.
    """

    near: list[NearMiss] = field(default_factory=list)
    copies: list[NearMiss] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    uncompared: int = 0


def caption_names(folder: Folder) -> CaptionNames:
    """Find the captions without a picture, and where they may belong."""
    lonely = [name for name in folder.captions if _is_lonely(folder, name)]
    bare = [
        file for file, item in folder.items.items()
        if item.caption is None and not _has_caption_file(folder, file)
    ]
    found = CaptionNames()
    uncompared = 0
    pictures = _by_folder(bare)
    for place, captions in _by_folder(lonely).items():
        matches, missed = _matches(captions, pictures.get(place, []))
        uncompared += missed
        _sort(folder, captions, matches, found)
    return CaptionNames(found.near, found.copies, found.orphans, uncompared)


def rename_fix(folder: Folder, near: NearMiss) -> Fix | None:
    """Gives the caption the name of its picture; None where that name is taken."""
    if near.caption == near.target or near.target in folder.files:
        return None
    text = f"rename {near.caption} to {near.target}"
    return Fix(folder.origin, (MoveFile(near.caption, near.target),), text, safe=near.certain)


_Plain = tuple[str, tuple[int, ...]]


def original_of(picture: str) -> str | None:
    """The path without ending of what a picture is a copy of, by its name; None: of nothing."""
    original = _copied(PurePosixPath(picture).stem)
    return None if original is None else PurePosixPath(picture).with_name(original).as_posix()


@dataclass(frozen=True)
class _Match:
    caption: str
    picture: str
    edits: int
    is_copy: bool = False
    doubtful: bool = False


def _is_lonely(folder: Folder, caption: str) -> bool:
    """Whether no picture is captioned by this file."""
    if stem_of(PurePosixPath(caption).name).casefold() in _NO_CAPTIONS:
        return False
    pictures = folder.pictures_of_stem(stem_of(caption))
    if pictures and PurePosixPath(caption).suffix in folder.origin.caption_extensions:
        return False
    # A disk that does not tell cases apart has found a.TXT as a.txt; a.png.txt is read as well.
    return same_to_a_person(caption) not in folder.read_captions


def _has_caption_file(folder: Folder, picture: str) -> bool:
    """Whether a file is there that would be read, even if it is damaged."""
    endings = folder.origin.caption_extensions
    return any(PurePosixPath(f).suffix in endings for f in folder.of_stem(stem_of(picture)))


def _by_folder(files: Sequence[str]) -> dict[str, list[str]]:
    sorted_out: dict[str, list[str]] = {}
    for file in files:
        sorted_out.setdefault(parent_of(file), []).append(file)
    return sorted_out


def _matches(captions: list[str], pictures: list[str]) -> tuple[list[_Match], int]:
    """Every pair that may belong together; how many captions could not be compared by letters."""
    by_plain: dict[_Plain, list[str]] = {}
    by_copied: dict[str, list[str]] = {}
    by_numbers: dict[tuple[int, ...], list[str]] = {}
    for picture in pictures:
        name = _name(picture)
        by_plain.setdefault(_plain(name), []).append(picture)
        by_numbers.setdefault(_numbers(name), []).append(picture)
        original = _copied(name)
        if original is not None:
            by_copied.setdefault(same_to_a_person(original), []).append(picture)
    found: list[_Match] = []
    asking: dict[tuple[int, ...], list[str]] = {}
    for caption in captions:
        name = _name(caption)
        exact = [_Match(caption, p, 0) for p in by_plain.get(_plain(name), ())]
        exact += [
            _Match(caption, p, 0, True) for p in by_copied.get(same_to_a_person(name), ())
        ]
        original = _copied(name)
        if original is not None:
            exact += [_Match(caption, p, 0, True) for p in by_plain.get(_plain(original), ())]
        found += exact
        if not exact:
            asking.setdefault(_numbers(name), []).append(caption)
    return found + list(_spelt(asking, by_numbers)), _too_many(asking, by_numbers)


Numbered = dict[tuple[int, ...], list[str]]


def _spelt(asking: Numbered, pictures: Numbered) -> Iterator[_Match]:
    """Pairs of the same numbers whose names differ in one or two letters."""
    for numbers, captions in asking.items():
        there = pictures.get(numbers, [])
        if len(captions) * len(there) > MOST_COMPARISONS:
            continue
        names = [(picture, same_to_a_person(_name(picture))) for picture in there]
        for caption in captions:
            wanted = same_to_a_person(_name(caption))
            for picture, name in names:
                edits = edit_distance(wanted, name, MOST_EDITS)
                # Of a name of three letters, two leave nothing.
                if edits <= MOST_EDITS and 2 * edits < max(len(wanted), len(name)):
                    yield _Match(caption, picture, edits, doubtful=len(name) < 4)


def _too_many(asking: Numbered, pictures: Numbered) -> int:
    return sum(
        len(captions) for numbers, captions in asking.items()
        if len(captions) * len(pictures.get(numbers, [])) > MOST_COMPARISONS
    )


def _sort(
    folder: Folder, captions: list[str], matches: list[_Match], found: CaptionNames
) -> None:
    """A caption that fits one picture, which fits no other caption, is certain to be its."""
    by_caption: dict[str, list[_Match]] = {}
    for match in sorted(matches, key=lambda one: one.edits):
        by_caption.setdefault(match.caption, []).append(match)
    wanted = Counter(
        match.picture for those in by_caption.values() for match in _best(those)
    )
    for caption in captions:
        best = _best(by_caption.get(caption, []))
        if not best:
            found.orphans.append(caption)
            continue
        first = best[0]
        clear = len(best) == 1 and wanted[first.picture] == 1 and not first.doubtful
        ending = _read_ending(folder, caption)
        near = NearMiss(
            caption, tuple(match.picture for match in best), stem_of(first.picture) + ending,
            clear, first.edits,
        )
        (found.copies if first.is_copy else found.near).append(near)


def _best(matches: list[_Match]) -> list[_Match]:
    return [match for match in matches if match.edits == matches[0].edits]


def _read_ending(folder: Folder, caption: str) -> str:
    """The ending as the scan looks for it: ``.TXT`` is not found beside ``a.png`` everywhere."""
    own = PurePosixPath(caption).suffix
    endings = folder.origin.caption_extensions
    return next((e for e in endings if e.casefold() == own.casefold()), own)


def _name(file: str) -> str:
    """The name without ending, and without the picture's that some taggers leave in it."""
    name = PurePosixPath(file).stem
    if ending_of(file) not in PICTURE_EXTENSIONS and ending_of(name) in PICTURE_EXTENSIONS:
        name = PurePosixPath(name).stem
    return name


def _plain(name: str) -> _Plain:
    """Without case, spaces and punctuation: ``Image-01`` is ``image 01``, not ``image 0 1``."""
    return _PUNCTUATION.sub("", same_to_a_person(name)) or name, _numbers(name)


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in _NUMBERS.findall(name) if len(digits) < 20)


def _copied(name: str) -> str | None:
    """What a copy was made of: ``123`` of ``123 (1)``."""
    match = _COPY.match(name)
    return match["name"] if match else None
