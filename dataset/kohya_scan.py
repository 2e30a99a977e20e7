"""A dataset as a kohya config describes it: each subset is scanned, and all are put together."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.errors import DatasetError, shorten
from .combine import Part, combine
from .fault_book import refuse_faults
from .items import REGULARISATION, TRAIN, Dataset
from .kohya_config import KohyaConfig, Subset, read_kohya_config
from .scan import ScanOptions, caption_endings, scan

_DRIVE = re.compile(r"[A-Za-z]:")
_MOST_PARTS = 64
Allowed = Callable[[Path], bool]
"""Whether a path, links followed, lies where datasets may lie."""


@dataclass(frozen=True)
class _Place:
    """Where a config's path leads.

    Attributes:
        path: links followed.
        moved: whether it was found beside the config and not where the config says.
    """

    path: Path
    moved: bool


def scan_config(
    folder: Path, file: str, name: str, options: ScanOptions, allowed: Allowed
) -> Dataset:
    """Read the folders that a kohya dataset config names.

    A path counts as it stands; or, where that is not there, by its end beside the config: configs
    travel with their folders to other machines. Either way it must be allowed.

    Args:
        folder: where the config is.
        file: its name there.
        name: what the dataset is called.
        options: how folders are read, where the config says nothing else.
        allowed: tells folders of datasets from other people's files.

    Raises:
        DatasetError: the config is malformed, a folder is not there or not allowed, or see
            :func:`.scan.scan`.
    """
    config = read_kohya_config(folder / file, file)
    notes, parts, seen = list(config.notes), [], set()
    for subset in config.subsets:
        place = _find(subset, "image_dir", folder, allowed)
        if place.moved:
            notes.append(f"{subset.place}: {subset.image_dir} was found as {place.path.name}.")
        if subset.num_repeats < 1:
            notes.append(f"{subset.place} has num_repeats below 1 and was left out.")
        elif (key := (subset.block, place.path, subset.metadata_file)) in seen:
            notes.append(f"{subset.place} names a folder for the second time and was left out.")
        else:
            seen.add(key)
            parts.append(_scan_subset(subset, place.path, folder, name, options, allowed))
    if not parts:
        raise DatasetError(
            f"{file} leaves no folder to be read: {' '.join(notes)}",
            expected="a subset with num_repeats of 1 or more",
            remedy="Correct num_repeats",
        )
    dataset = combine(parts, name)
    if not options.lenient:
        refuse_faults(dataset.faults, name)
    return replace(dataset, notes=(*notes, *dataset.notes))


def config_folders(folder: Path, file: str, allowed: Allowed) -> list[Path]:
    """The folders that a config names, to see whether anything in them has changed.

    Raises:
        DatasetError: see :func:`scan_config`.
    """
    config: KohyaConfig = read_kohya_config(folder / file, file)
    return [
        _find(subset, "image_dir", folder, allowed).path
        for subset in config.subsets
    ]


def config_tables(folder: Path, file: str, allowed: Allowed) -> list[Path]:
    """The tables that a config names as ``metadata_file``, wherever they stand.

    Raises:
        DatasetError: see :func:`scan_config`.
    """
    config: KohyaConfig = read_kohya_config(folder / file, file)
    return [
        _find(subset, "metadata_file", folder, allowed).path
        for subset in config.subsets
        if subset.metadata_file
    ]


def _scan_subset(
    subset: Subset, path: Path, folder: Path, name: str, options: ScanOptions, allowed: Allowed
) -> Part:
    read = replace(options.read, folder_names=False, class_words=subset.class_tokens)
    if subset.caption_extension:
        read = replace(read, endings=caption_endings(subset.caption_extension))
    if subset.metadata_file:
        place = _find(subset, "metadata_file", folder, allowed).path
        inside = place.is_relative_to(path)
        shown = place.relative_to(path).as_posix() if inside else place.name
        # kohya does not look for caption files there.
        read = replace(read, endings=(), meta_file=(place, shown))
    # All subsets are read before anything is refused, so that one error can name all files.
    own = replace(options, recursive=False, read=read, lenient=True)
    dataset = scan(path, _subset_name(path, folder, name), own)
    if subset.metadata_file:
        dataset = _only_named(dataset)
    dataset = dataset.with_captions(
        [_framed(item.caption, subset) for item in dataset.items]
    )
    role = REGULARISATION if subset.is_reg else TRAIN
    return Part(dataset=dataset, repeats=float(subset.num_repeats), role=role)


def _only_named(dataset: Dataset) -> Dataset:
    """Without the pictures that a table does not name: kohya takes only those that it does."""
    without = dataset.names_without_caption()
    if not without:
        return dataset
    kept = tuple(item for item in dataset.items if item.caption is not None)
    note = f"{len(without)} pictures that metadata_file does not name were left out: "
    return replace(dataset, items=kept).with_notes(f"{note}{shorten(without)}.")


def _framed(caption: str | None, subset: Subset) -> str | None:
    """A caption with kohya's prefix and suffix, which it joins by spaces."""
    if caption is None:
        return None
    return " ".join(
        part for part in (subset.caption_prefix, caption, subset.caption_suffix) if part
    )


def _subset_name(path: Path, folder: Path, name: str) -> str:
    real = Path(os.path.realpath(folder))
    if path == real:
        return name
    return f"{name}/{path.relative_to(real).as_posix()}" if path.is_relative_to(real) else path.name


def _find(subset: Subset, key: str, folder: Path, allowed: Allowed) -> _Place:
    """The folder or file that a subset names under a key."""
    raw: str = getattr(subset, key)
    is_it = Path.is_dir if key == "image_dir" else Path.is_file
    for number, candidate in enumerate(_candidates(raw, folder)):
        try:
            real = Path(os.path.realpath(candidate))
            # Whether something is there is nobody's business outside of the folders of datasets.
            if allowed(real) and is_it(real):
                return _Place(real, moved=number > 0)
        except (OSError, ValueError):  # Names that no file system has.
            continue
    raise DatasetError(
        f"{subset.place}: {key} {raw[:300]!r} is not there, or not where datasets may lie",
        expected="a folder below ComfyUI's input or output folder, below one registered as "
        "kiln_datasets in extra_model_paths.yaml, or beside the config",
        remedy="Register the folder that it lies in, or copy it beside the config",
    )


def _candidates(raw: str, folder: Path) -> Iterator[Path]:
    """The path as it stands, then by its end beside the config, the longest end first."""
    slashed = raw.replace("\\", "/")
    absolute = slashed.startswith(("/", "~")) or _DRIVE.match(slashed) is not None
    yield Path(raw) if absolute else folder / slashed
    parts = [part for part in slashed.split("/") if part not in ("", ".", "..", "~")]
    for first in range(0 if absolute else 1, len(parts)) if len(parts) <= _MOST_PARTS else ():
        if not _DRIVE.match(parts[first]):
            yield folder.joinpath(*parts[first:])
