"""Pictures of the graph that wait for a person's decision, and the dataset they go into."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import folder_paths
from PIL import Image

from ..core import atomic
from ..core.errors import DatasetError
from ..dataset.arrays import dataset_from_images
from ..dataset.curate import read_curated
from ..dataset.decode import inspect
from ..dataset.embedded_prompt import prompt_of_file
from ..dataset.intake_names import PICTURES
from ..dataset.items import Dataset, DatasetItem, PictureArray, PictureFile
from ..dataset.review import ACCEPTED, caption_now
from ..dataset.scan import CAPTION_EXTENSIONS
from .paths import check_run_name, contained
from .routes_upload import uploads_folder

SHA256 = re.compile(r"[0-9a-f]{64}")
_ODD = re.compile(r"[^\w.-]+")


def curated_folder(name: str) -> Path:
    """Where the dataset of this name is, or will be: ``input/kiln/<name>``.

    Raises:
        KilnError: it is no plain name, or leads elsewhere.
    """
    return contained(uploads_folder(), check_run_name(name))


def candidates(
    images: Sequence[Any], dataset: Dataset | None, prompts: Sequence[str], found: str | None
) -> list[DatasetItem]:
    """The pictures to be decided on, each with the caption it would get.

    Args:
        images: IMAGE batches (N, H, W, C) in 0..1.
        dataset: loaded pictures; their own captions go first, then the prompt in the file.
        prompts: one for all images, or one for each.
        found: the prompt that the graph has for the images, where none is connected.

    Raises:
        DatasetError: prompts and images do not come out even.
    """
    told = [" ".join(found.split())] if found else []
    given = list(prompts) if any(text.strip() for text in prompts) else told
    made = dataset_from_images(images, given, name="picture").items if images else ()
    return [*made, *(_captioned(item) for item in (dataset.items if dataset else ()))]


def keep_candidates(items: Sequence[DatasetItem]) -> list[dict[str, Any]]:
    """Keep the pictures until ComfyUI is started anew; returns the rows of the page."""
    rows: dict[str, dict[str, Any]] = {}
    for item in items:
        source = item.source
        if isinstance(source, (PictureFile, PictureArray)):
            path = _keep(source)
            facts = inspect(source)
            # The same picture twice is one decision.
            rows.setdefault(path.stem, {
                "sha": path.stem, "name": item.name, "caption": item.caption or "",
                "size": [facts.width_px, facts.height_px], "decision": "",
            })  # fmt: skip
    return list(rows.values())


def decided(root: Path) -> dict[str, dict[str, str]]:
    """Decisions by the picture's SHA-256, of accepted ones with the captions they have now."""
    rows: dict[str, dict[str, str]] = {}
    for sha256, row in read_curated(root).items():
        rows[sha256] = {"decision": row.decision}
        if row.decision == ACCEPTED:
            # Without a file, or with one that is not text, the connected caption is shown.
            with contextlib.suppress(DatasetError):
                caption = caption_now(root, row.file, CAPTION_EXTENSIONS)[1]
                rows[sha256] |= {} if caption is None else {"caption": caption}
    return rows


def candidate_of(sha256: str) -> Path:
    """The file of a picture that waits; it may be gone after a restart.

    Args:
        sha256: of the picture, 64 hex digits; from a request.
    """
    if not SHA256.fullmatch(sha256):
        return _folder() / "none.png"
    files = (_folder() / f"{sha256}{suffix}" for suffix in sorted(PICTURES))
    return next((path for path in files if path.is_file()), _folder() / f"{sha256}.png")


def stem_of(name: str) -> str:
    """A file name's beginning, from what a picture is called."""
    plain = _ODD.sub("_", PurePosixPath(name).stem).strip("._-")[:60]
    return plain or "picture"


def _keep(source: PictureFile | PictureArray) -> Path:
    """The picture's file in ComfyUI's temporary folder: its own bytes, or of an image a PNG."""
    suffix = source.path.suffix.lower() if isinstance(source, PictureFile) else ".png"
    path = _folder() / f"{source.sha256}{suffix}"
    if not path.exists():
        data = source.read_unchanged() if isinstance(source, PictureFile) else _png(source)
        atomic.write_bytes(path, data)
    return path


def _png(source: PictureArray) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(source.pixels).save(encoded, "PNG", compress_level=4)
    return encoded.getvalue()


def _captioned(item: DatasetItem) -> DatasetItem:
    """A loaded picture, with the prompt in its file where it has no caption."""
    if item.caption is not None or not isinstance(item.source, PictureFile):
        return item
    return dataclasses.replace(item, caption=prompt_of_file(item.source.path))


def _folder() -> Path:
    return Path(folder_paths.get_temp_directory()) / "kiln_curate"
