"""A folder of pictures to be described in some way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_kiln.dataset.items import Dataset, DatasetItem
from lora_kiln.dataset.readers.reader import ReadOptions
from lora_kiln.dataset.scan import ScanOptions, scan


class Folder:
    """Writes files as other programs would, and reads them."""

    def __init__(self, root: Path, gradient: Callable[..., Image.Image]) -> None:
        self.root, self._gradient, self._made = root, gradient, 0

    def pictures(self, *names: str) -> Folder:
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made += 1
            self._gradient(24, 16, seed=self._made).save(path)
        return self

    def text(self, name: str, text: str) -> Folder:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return self

    def json(self, name: str, value: Any) -> Folder:
        return self.text(name, json.dumps(value, indent=2))

    def scan(self, lenient: bool = False, recursive: bool = True, **read: Any) -> Dataset:
        options = ScanOptions(lenient=lenient, recursive=recursive, read=ReadOptions(**read))
        return scan(self.root, "mine", options)

    def items(self, **read: Any) -> dict[str, DatasetItem]:
        return {item.name: item for item in self.scan(**read).items}


@pytest.fixture
def mine(tmp_path: Path, gradient: Callable[..., Image.Image]) -> Folder:
    """An empty folder named mine."""
    (tmp_path / "mine").mkdir()
    return Folder(tmp_path / "mine", gradient)
