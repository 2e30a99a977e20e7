"""What changed between two states of a dataset, in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from ..core.errors import shorten
from .manifest import Manifest, PictureState

LONGEST_CAPTION = 90
MOST_CAPTIONS = 3


@dataclass(frozen=True)
class CaptionChange:
    """A caption before and after; None where there was none."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class DatasetDiff:
    """What changed. All names are those of the later state, but for ``removed``.

    Attributes:
        added: pictures that were not there before.
        removed: pictures that are gone.
        renamed: pairs of the old and the new name of the same picture.
        repainted: pictures whose file has other content under the same name.
        captions: captions that changed.
        settings: names of pictures whose mask, role, weight, repeats or focus changed, by which.
        background: the colours before and after, where it changed.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    repainted: tuple[str, ...] = ()
    captions: tuple[CaptionChange, ...] = ()
    settings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    background: tuple[str, str] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing changed."""
        return self == DatasetDiff()


def diff_manifests(before: Manifest, after: Manifest) -> DatasetDiff:
    """Compare two states."""
    renamed = _renamed(before, after)
    old_names = {new: old for old, new in renamed}
    gone = set(before.pictures) - set(after.pictures) - {old for old, _ in renamed}
    pairs: list[tuple[str, PictureState, PictureState]] = []
    added: list[str] = []
    for name, picture in after.pictures.items():
        old = old_names.get(name, name)
        if old in before.pictures:
            pairs.append((name, before.pictures[old], picture))
        else:
            added.append(name)

    def changed(what: Callable[[PictureState], Any]) -> tuple[str, ...]:
        return tuple(name for name, old, new in pairs if what(old) != what(new))

    settings = {
        "mask": changed(lambda picture: picture.mask),
        "role": changed(lambda picture: picture.role),
        "weight": changed(lambda picture: picture.weight),
        "repeats": changed(lambda picture: picture.repeats),
        "focus": changed(lambda picture: picture.focus),
    }
    return DatasetDiff(
        added=tuple(added),
        removed=tuple(name for name in before.pictures if name in gone),
        renamed=tuple(renamed),
        repainted=changed(lambda picture: picture.sha256),
        captions=tuple(
            CaptionChange(name, old.caption, new.caption)
            for name, old, new in pairs
            if old.caption != new.caption
        ),
        settings={what: names for what, names in settings.items() if names},
        background=(
            (before.background, after.background)
            if before.background != after.background
            else None
        ),
    )


def _renamed(before: Manifest, after: Manifest) -> list[tuple[str, str]]:
    """Pictures that are gone under one name and there under another, each used once."""
    gone: dict[str, list[str]] = {}
    for name, picture in before.pictures.items():
        if name not in after.pictures:
            gone.setdefault(picture.sha256, []).append(name)
    pairs = []
    for name, picture in after.pictures.items():
        if name not in before.pictures and gone.get(picture.sha256):
            pairs.append((gone[picture.sha256].pop(0), name))
    return pairs


def describe_diff(diff: DatasetDiff) -> str:
    """One sentence with the counts, then a line for each kind of change."""
    if diff.is_empty:
        return "Nothing changed."
    counts, lines = list[str](), list[str]()
    for names, what in (
        (diff.added, "added"), (diff.removed, "removed"), (diff.repainted, "replaced"),
    ):  # fmt: skip
        if names:
            counts.append(f"{_count(names, 'picture')} {what}")
            lines.append(f"{what.capitalize()}: {shorten(list(names), 6)}.")
    if diff.renamed:
        counts.append(f"{_count(diff.renamed, 'picture')} renamed")
        both = [f"{old} is now {new}" for old, new in diff.renamed]
        lines.append(f"Renamed: {shorten(both, 6)}.")
    if diff.captions:
        counts.append(f"{_count(diff.captions, 'caption')} changed")
        lines += [_caption_line(change) for change in diff.captions[:MOST_CAPTIONS]]
        rest = len(diff.captions) - MOST_CAPTIONS
        lines += [f"… and {rest} more captions."] if rest > 0 else []
    for what, names in diff.settings.items():
        counts.append(f"{what} of {_count(names, 'picture')} changed")
        lines.append(f"{what.capitalize()} changed: {shorten(list(names), 6)}.")
    if diff.background:
        counts.append("background changed")
        lines.append(f"Background: {diff.background[0]} is now {diff.background[1]}.")
    return "\n".join([f"{', '.join(counts)}.", *lines])


def _count(names: Sequence[Any], what: str) -> str:
    return f"{len(names)} {what}{'' if len(names) == 1 else 's'}"


def _caption_line(change: CaptionChange) -> str:
    if change.before is None or change.after is None:
        before = "none" if change.before is None else f"'{_cut(change.before)}'"
        after = "none" if change.after is None else f"'{_cut(change.after)}'"
        return f"{change.name}: {before} is now {after}"
    # Around the first difference: long captions begin alike.
    pairs = zip(change.before, change.after, strict=False)
    first = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
    skip = max(0, first - 30)
    return f"{change.name}: '{_cut(change.before, skip)}' is now '{_cut(change.after, skip)}'"


def _cut(text: str, skip: int = 0) -> str:
    flat = " ".join(text.split("\n"))
    part = flat[skip : skip + LONGEST_CAPTION]
    return ("…" if skip else "") + part + ("…" if skip + len(part) < len(flat) else "")
