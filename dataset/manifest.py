"""What a dataset was at one time: the hashes of its pictures, their captions and roles.

A manifest is small and says everything that a training saw, so two states of a dataset can be
compared after the pictures themselves have changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..core import atomic
from ..core.errors import DatasetError
from .colour import hex_colour
from .items import Dataset, DatasetItem

MANIFEST_FILE = "dataset.json"
VERSION = 1


@dataclass(frozen=True)
class PictureState:
    """One picture as it was.

    Attributes:
        sha256: of the file, or of the pixels of one from the graph.
        caption: literal text; None where there was none.
        role: train, regularisation or validation.
        weight: in the loss.
        repeats: how often it was shown.
        mask: SHA-256 of its mask; None without one.
        focus: the point that its cut is laid around, as it was written; empty without one.
    """

    sha256: str
    caption: str | None
    role: str
    weight: float
    repeats: float
    mask: str | None
    focus: str = ""


@dataclass(frozen=True)
class Manifest:
    """A state of a dataset.

    Attributes:
        name: what the person called it.
        state: ``Dataset.fingerprint``: equal where a training saw the same.
        background: colour behind transparent parts, ``#rrggbb``.
        pictures: by name.
    """

    name: str
    state: str
    background: str
    pictures: Mapping[str, PictureState]

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "version": VERSION,
            "name": self.name,
            "state": self.state,
            "background": self.background,
            "pictures": {name: asdict(picture) for name, picture in self.pictures.items()},
        }


def manifest_of(dataset: Dataset) -> Manifest:
    """The state that a dataset is in now.

    Raises:
        DatasetError: a picture can no longer be read.
    """
    return Manifest(
        dataset.name,
        dataset.fingerprint,
        hex_colour(dataset.background),
        {item.name: _state(item) for item in dataset.items},
    )


def _state(item: DatasetItem) -> PictureState:
    return PictureState(
        item.source.sha256,
        item.caption,
        item.role,
        item.weight,
        item.repeats,
        item.mask.sha256 if item.mask is not None else None,
        item.focus,
    )


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Write it as ``dataset.json`` into a folder; returns the file."""
    path = folder / MANIFEST_FILE
    atomic.write_json(path, manifest.as_json())
    return path


def read_manifest(path: Path) -> Manifest:
    """Read one.

    Raises:
        DatasetError: it is not there, or is not one.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["version"] != VERSION:
            raise ValueError(f"its version is {content['version']}")
        pictures = {
            str(name): PictureState(**values) for name, values in content["pictures"].items()
        }
        return Manifest(
            str(content["name"]), str(content["state"]), str(content["background"]), pictures
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path.name} is no manifest of a dataset: {error}",
            expected=f"the {MANIFEST_FILE} of a run, version {VERSION}",
            remedy="Choose the folder of a run that was trained with this version of the pack",
        ) from error
