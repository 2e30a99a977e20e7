"""One mutated file, given to the reader that it is for. Case number and seed decide everything."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from lora_kiln.core.errors import KilnError
from lora_kiln.dataset.decode import decode_with_alpha, flatten
from lora_kiln.dataset.examine import hides_colours
from lora_kiln.dataset.items import Dataset, PictureFile
from lora_kiln.dataset.kohya_scan import scan_config
from lora_kiln.dataset.masks import decode_mask
from lora_kiln.dataset.perceptual import perceptual_hash
from lora_kiln.dataset.readers.reader import readers
from lora_kiln.dataset.scan import ScanOptions, scan_folder
from lora_kiln.dataset.strict import MAX_PIXELS
from lora_kiln.dataset.summary import describe
from lora_kiln.tests.dataset.fuzz.mutate import mutated_picture, mutated_text
from lora_kiln.tests.dataset.fuzz.seeds import CONFIGS, TEXTS, pictures

READ, REFUSED = "read", "refused"
_TEXT_SHARE = 0.15
_PATH_EVENTS = ("open", "os.listdir", "os.scandir", "os.rename", "os.remove", "os.mkdir")


class Escape(Exception):
    """A file outside of the folder was touched."""


class Cases:
    """Runs cases one by one; at most one object per process, which watches what is opened."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._folder = tempfile.TemporaryDirectory(prefix="kiln-fuzz-")
        self.root = Path(self._folder.name).resolve() / "inner" / "dataset"
        self._watching = False
        self._outside: list[str] = []
        (self.root / "b").mkdir(parents=True)
        (self.root / ".masks").mkdir()  # Which no scan looks into.
        for name in ("a.png", "b/c.png"):
            (self.root / name).write_bytes(pictures()[0][1])
        readers()  # Imported before anybody watches.
        self._library = (sys.prefix, sys.base_prefix)
        sys.addaudithook(self._audit)
        warnings.simplefilter("ignore")  # Pillow's, about damaged TIFF files.

    def run(self, number: int) -> tuple[str, str]:
        """What kind of file it was, and whether it was read or refused.

        Raises:
            Exception: anything but a refusal in words: that is what is looked for.
        """
        random_ = random.Random(f"{self._seed}:{number}")
        kind, work = (self._text if random_.random() < _TEXT_SHARE else self._picture)(random_)
        self._outside, self._watching = [], True
        try:
            work()
            return kind, READ
        except KilnError:
            return kind, REFUSED
        finally:
            self._watching = False
            if self._outside:
                raise Escape(str(self._outside))

    def _picture(self, random_: random.Random) -> tuple[str, Any]:
        kind, data = random_.choice(pictures())
        mutant = mutated_picture(kind, data, [d for k, d in pictures() if k == kind], random_)
        as_mask = random_.random() < 0.1

        def work() -> None:
            if as_mask:
                path = self.root / ".masks" / "mask.png"
                path.write_bytes(mutant or b"x")
                assert decode_mask(PictureFile(path, "mask.png")).mode == "L"
                return
            notes: list[str] = []
            image = decode_with_alpha(mutant, "x", notes)
            hides_colours(image)
            flat = flatten(image, "x", "white", notes).image
            assert flat.mode == "RGB"
            assert 0 < flat.width * flat.height <= MAX_PIXELS
            assert 0 <= perceptual_hash(flat) < 2**64

        return kind, work

    def _text(self, random_: random.Random) -> tuple[str, Any]:
        name, seeds = random_.choice(TEXTS)
        path = self.root / name
        path.write_bytes(mutated_text(random_.choice(seeds), random_))

        def work() -> None:
            try:
                dataset = self._scan(name)
                assert len(dataset.fingerprint) == 64
                describe(dataset).encode("utf-8")
            finally:
                path.unlink()
            for item in dataset.items:
                assert isinstance(item.source, PictureFile)
                assert item.source.path.resolve().is_relative_to(self.root)

        return name, work

    def _scan(self, name: str) -> Dataset:
        if name not in CONFIGS:
            return scan_folder(self.root, name="x")
        return scan_config(self.root, name, "x", ScanOptions(), self._is_inside)

    def _is_inside(self, path: Path) -> bool:
        return path.is_relative_to(self.root)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._watching or event not in _PATH_EVENTS:
            return
        if isinstance(arguments[0], int):
            return  # A file that is open already.
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if not path.startswith((str(self.root), *self._library)):
            self._outside.append(f"{event} {path}")
