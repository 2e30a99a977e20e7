"""What the review grid in the browser is told of a dataset.

The node writes down what only the graph knows: sizes, marks of the lint, tokens, and captions
that the graph changed. Captions and decisions are read from the folder whenever the page asks.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core import atomic
from ..core.errors import DatasetError
from ..core.settings import digest
from ..dataset.decode import inspect
from ..dataset.items import Dataset, DatasetItem, Origin
from ..dataset.lint.report import LintReport
from ..dataset.review import caption_now, read_decisions, rejected_picture
from ..dataset.token_layout import TokenCounter
from .paths import DEMO_STYLE, PathError, contained, resolve_folder, runs_folder

MOST_KEPT = 64
Marks = Mapping[str, Sequence[tuple[str, str]]]
"""Level and text of each finding, by the picture's name."""


def marks_of(report: LintReport | None) -> dict[str, list[tuple[str, str]]]:
    """The findings of a report, picture by picture."""
    marks: dict[str, list[tuple[str, str]]] = {}
    for finding in report.findings if report else ():
        for item in finding.items:
            marks.setdefault(item, []).append((finding.level, f"{finding.rule}: {finding.text}"))
    return marks


def write_review(dataset: Dataset, marks: Marks, tokens: TokenCounter | None) -> str:
    """Keep what the page will ask for; returns the id to ask with.

    Raises:
        DatasetError: none of the pictures is a file.
    """
    rows, origins = [], list[Origin]()
    for item in dataset.items:
        if item.origin is None:
            continue
        if item.origin not in origins:
            origins.append(item.origin)
        rows.append(_facts(item, origins.index(item.origin), marks.get(item.name, ()), tokens))
    if not rows:
        raise DatasetError(
            f"None of the {len(dataset)} pictures of {dataset.name} is a file",
            expected="a dataset from a folder, whose captions are files, too",
            remedy="Use Curate Images to keep pictures of the graph as files",
        )
    folders = [{"name": o.name, "extensions": list(o.caption_extensions)} for o in origins]
    content = {"folders": folders, "items": rows}
    key = digest(content)
    atomic.write_json(_folder() / f"{key}.json", content)
    kept = sorted(_folder().glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    for path in kept[:-MOST_KEPT]:
        path.unlink(missing_ok=True)
    return key


def read_review(key: str) -> dict[str, Any]:
    """Folders and pictures, with captions and decisions as they are now.

    Raises:
        PathError: the node has not run, or its folder is gone.
    """
    try:
        content = json.loads(contained(_folder(), f"{key}.json").read_text("utf-8"))
    except FileNotFoundError as error:
        raise PathError("This review is not kept any more", expected="one of the latest",
                        remedy="Queue the graph again") from error
    folders = [_Folder(row) for row in content["folders"]]
    return {
        "folders": [{"name": f.name, "writable": f.name != DEMO_STYLE} for f in folders],
        "items": [folders[row["folder"]].show(row) for row in content["items"]],
    }


class _Folder:
    """A folder with its decisions, read once for all pictures."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.name: str = row["name"]
        self._extensions: list[str] = row["extensions"]
        self._root = resolve_folder(self.name)
        self._decisions = read_decisions(self._root)

    def show(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A picture's row with what stands in its caption file now."""
        file = row["file"]
        trouble, now = None, None
        try:
            now = caption_now(self._root, file, self._extensions)[1]
        except DatasetError as error:
            trouble = str(error)
        caption = row.get("told") if now is None else now
        path: Path | None = self._root / file
        decision = self._decisions.of(file, caption)
        if file in self._decisions.rejected:
            path = None  # Of a damaged journal the other pictures are shown nevertheless.
            with contextlib.suppress(DatasetError):
                path = rejected_picture(self._root, file, self._decisions)
        stamp = path.stat().st_mtime_ns if path and path.is_file() else 0
        shown = {**row, "seen": now, "caption": caption, "decision": decision, "stamp": str(stamp)}
        change = self._decisions.rejected.get(file)
        if row.get("trained") == caption:
            shown.pop("trained", None)
        return shown | ({"change": change} if change else {}) | (
            {"trouble": trouble} if trouble else {}
        )


def extensions_of(key: str, folder: str) -> list[str]:
    """Endings of caption files of one folder of a review, the first one first.

    Raises:
        PathError: the review does not have this folder.
    """
    path = contained(_folder(), f"{key}.json")
    rows = json.loads(path.read_text("utf-8"))["folders"] if path.is_file() else []
    for row in rows:
        if row["name"] == folder:
            return list(row["extensions"])
    raise PathError(f"{folder!r} is not in this review", expected="one of its folders",
                    remedy="Queue the graph again")


def _facts(
    item: DatasetItem, folder: int, marks: Sequence[tuple[str, str]], tokens: TokenCounter | None
) -> dict[str, Any]:
    assert item.origin is not None
    facts = inspect(item.source)
    row: dict[str, Any] = {
        "folder": folder, "file": item.file,
        "size": [facts.width_px, facts.height_px], "role": item.role,
    }
    own = item.caption_file is not None and item.caption_file.endswith(
        tuple(item.origin.caption_extensions)
    )
    in_file = caption_now(item.origin.root, item.file, item.origin.caption_extensions)[1]
    if item.caption is not None and not own and item.caption_file is not None:
        row["told"] = item.caption
    if item.caption is not None and item.caption != (in_file if own else row.get("told")):
        row["trained"] = item.caption
    if tokens is not None and item.caption is not None:
        layout = tokens.layout(item.caption)
        row["tokens"], row["chunks"] = layout.count, len(layout.chunks)
    return row | ({"marks": [list(mark) for mark in marks]} if marks else {})


def _folder() -> Path:
    return runs_folder() / "reviews"
