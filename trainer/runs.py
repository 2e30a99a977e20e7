"""A run is a folder; its name is a label and a number.

The same settings, pictures and model continue the run or return the finished one. Any change
takes the next number, so nothing that was made is ever overwritten.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import atomic
from ..core.settings import digest

RUN_FILE = "run.json"
_GIVEN: dict[tuple[str, str], set[int]] = {}
"""Numbers given out in this process, by folder and label."""


@dataclass(frozen=True)
class Run:
    """One training run on disk.

    Attributes:
        folder: ``output/kiln/<label>-<NNN>``.
        identity: hash of everything that decides what is trained.
    """

    folder: Path
    identity: str

    @property
    def name(self) -> str:
        """``<label>-<NNN>``."""
        return self.folder.name

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def samples(self) -> Path:
        """Folder of the preview pictures."""
        return self.folder / "samples"

    @property
    def metrics_path(self) -> Path:
        """One JSON object per step."""
        return self.folder / "metrics.jsonl"

    def document(self) -> dict[str, Any]:
        """The content of ``run.json``."""
        document: dict[str, Any] = json.loads((self.folder / RUN_FILE).read_text("utf-8"))
        return document

    def update(self, values: Mapping[str, Any]) -> None:
        """Set entries of ``run.json``."""
        atomic.write_json(self.folder / RUN_FILE, {**self.document(), **values})

    @property
    def finished(self) -> bool:
        """Whether training reached its last step."""
        return bool(self.document().get("finished"))

    def metrics(self) -> list[dict[str, Any]]:
        """The metrics so far; a line torn by a kill is left out."""
        return list(_read_lines(self.metrics_path))

    def truncate_metrics(self, step: int) -> None:
        """Forget steps after a checkpoint, before they are trained again."""
        kept = [json.dumps(entry) + "\n" for entry in self.metrics() if entry["step"] <= step]
        atomic.write_text(self.metrics_path, "".join(kept))


def open_run(
    root: Path,
    label: str,
    ingredients: Mapping[str, Any],
    details: Mapping[str, Any],
    published: Path | None = None,
) -> Run:
    """Find the run of these ingredients under this label, or begin the next number.

    Args:
        root: ``output/kiln``.
        label: what the person calls it; already checked as a file name.
        ingredients: JSON value of everything that decides the result.
        details: what else belongs into ``run.json``.
        published: folder of published LoRAs. A number that was ever used there is not used
            again, even when its run was deleted: the stock loader may still hold that file.
    """
    identity = digest(dict(ingredients))
    numbered = numbered_folders(root, label)
    taken = _published_numbers(published, label) | _GIVEN.get((str(root), label.lower()), set())
    for folder in numbered.values():
        run = Run(folder, identity)
        try:
            if run.document().get("identity") == identity:
                atomic.sweep_temporaries(folder)
                return run
        except (FileNotFoundError, json.JSONDecodeError):
            continue
    run = Run(_make_next(root, label, max([0, *numbered, *taken])), identity)
    document = {**details, "identity": identity, "ingredients": ingredients, "finished": False}
    atomic.write_json(run.folder / RUN_FILE, document)
    return run


def _make_next(root: Path, label: str, last: int) -> Path:
    """The next free folder; another process, or another spelling of the label, may be faster."""
    root.mkdir(parents=True, exist_ok=True)
    while True:
        last += 1
        folder = root / f"{label}-{last:03d}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        _GIVEN.setdefault((str(root), label.lower()), set()).add(last)
        return folder


def _published_numbers(folder: Path | None, label: str) -> set[int]:
    if folder is None or not folder.is_dir():
        return set()
    matches = (_pattern(label).match(path.name) for path in folder.iterdir())
    return {int(match.group(1)) for match in matches if match}


def _pattern(label: str) -> re.Pattern[str]:
    # Many disks take My_Style and my_style for one name.
    return re.compile(re.escape(label) + r"-(\d{3,})", re.IGNORECASE)


def numbered_folders(root: Path, label: str) -> dict[int, Path]:
    """Run folders of a label by number."""
    pattern = _pattern(label)
    found: dict[int, Path] = {}
    if root.is_dir():
        for folder in sorted(root.iterdir()):
            match = pattern.fullmatch(folder.name)
            if match and folder.is_dir():
                found[int(match.group(1))] = folder
    return found


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    for line in path.read_text("utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return
