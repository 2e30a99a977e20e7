"""Where the index of picture facts stands: with the other caches, below ``output/kiln/cache``."""

from __future__ import annotations

from ..dataset.index import PictureIndex
from . import paths

FILE = "pictures.sqlite"


def open_picture_index() -> PictureIndex:
    """The index that all scans of this ComfyUI share. Close it when the scan is through.

    Raises:
        DatasetError: it can be neither read nor made.
    """
    return PictureIndex(paths.cache_folder() / FILE)
