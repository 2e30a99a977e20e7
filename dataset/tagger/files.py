"""Where taggers lie: a folder with ``model.onnx`` and ``selected_tags.csv``, or a flat pair."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import HostError, shorten

MODEL, TABLE = "model.onnx", "selected_tags.csv"
PUBLISHED = {
    "wd-eva02-large-tagger-v3": 0.5296,
    "wd-vit-large-tagger-v3": None,
    "wd-swinv2-tagger-v3": 0.2653,
    "wd-vit-tagger-v3": 0.2614,
    "wd-convnext-tagger-v3": None,
    "wd-v1-4-moat-tagger-v2": 0.3771,
    "wd-v1-4-swinv2-tagger-v2": 0.3771,
}
"""Taggers that SmilingWolf publishes, best first, with the general threshold at which precision
equals recall as their model cards give it; None where we have not seen the card."""
PUBLISHER = "SmilingWolf"


@dataclass(frozen=True)
class TaggerFiles:
    """A tagger on disk.

    Attributes:
        name: what it is called: its folder, or the name of its files without ending.
        model: the ONNX file.
        table: the list of its tags.
    """

    name: str
    model: Path
    table: Path

    @property
    def weights(self) -> list[Path]:
        """The model with the files that large ONNX models keep their weights in."""
        beside = sorted(self.model.parent.glob(f"{self.model.name}[._]*"))
        return [self.model, *(path for path in beside if path.is_file())]

    @property
    def precision_is_recall(self) -> float | None:
        """The published P=R threshold, where it is known."""
        return PUBLISHED.get(self.name)


def list_taggers(roots: Iterable[Path]) -> dict[str, TaggerFiles]:
    """All taggers below some folders by name, in the order of the folders and then by name."""
    found: dict[str, TaggerFiles] = {}
    for root in roots:
        for path in sorted(root.iterdir()) if root.is_dir() else []:
            files = _in_folder(path) if path.is_dir() else _flat(path)
            if files is not None:
                found.setdefault(files.name, files)
    return found


def _in_folder(folder: Path) -> TaggerFiles | None:
    model, table = folder / MODEL, folder / TABLE
    whole = model.is_file() and table.is_file()
    return TaggerFiles(folder.name, model, table) if whole else None


def _flat(path: Path) -> TaggerFiles | None:
    """``name.onnx`` with ``name.csv``, as the WD14 Tagger pack keeps its models."""
    table = path.with_suffix(".csv")
    whole = path.suffix == ".onnx" and path.is_file() and table.is_file()
    return TaggerFiles(path.stem, path, table) if whole else None


def find_tagger(name: str, roots: Sequence[Path]) -> TaggerFiles:
    """The tagger of a name.

    Raises:
        HostError: it is not there; says which files are expected where, and who publishes them.
    """
    known = list_taggers(roots)
    if name in known:
        return known[name]
    there = f"there are: {shorten(sorted(known))}" if known else "there is none yet"
    folder = roots[0] / (name if name in PUBLISHED else "wd-eva02-large-tagger-v3")
    raise HostError(
        f"There is no tagger {name!r} in {' or '.join(str(root) for root in roots)}; {there}",
        expected=f"{folder / MODEL} and {folder / TABLE}",
        remedy=f"Download these two files from {PUBLISHER}/{folder.name} on the Hugging Face "
        "hub into that folder, and press R. Nothing is downloaded while a graph runs",
    )
