"""``kiln.py lint``: what is wrong with a dataset, and mending it."""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from ..core import atomic
from ..core.errors import ConfigError
from ..dataset.buckets import BucketSettings
from ..dataset.items import Dataset
from ..dataset.lint.apply import LAST, NOTHING, undo_fixes
from ..dataset.lint.context import LintContext, LintSettings
from ..dataset.lint.looks import PictureLooks
from ..dataset.lint.mend import Mended, lint_and_mend
from ..dataset.lint.sheet import draw_sheets
from ..dataset.lint.told import MOST_SHOWN, told
from ..dataset.scan import scan_folder
from .command import Command, add_settings, settings_of

_KINDS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""Endings of sheets, and Pillow's words for them."""


class _Quiet:
    """Fulfils ``core.protocols.Progress`` where nobody watches; Ctrl+C works by itself."""

    def update(self, done: int, total: int, *, picture: Image.Image | None = None) -> None:
        """Nothing is shown."""

    def say(self, text: str) -> None:
        """Nothing is said."""

    def check_cancelled(self) -> None:
        """Nobody cancels."""

    def is_cancellation(self, error: BaseException) -> bool:
        """Ctrl+C is one."""
        return isinstance(error, KeyboardInterrupt)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER",
                        help="folders with pictures and captions")
    parser.add_argument("--fix", default=NOTHING, metavar="WHAT",
                        help="apply fixes: 'safe', and names of rules with commas between, of "
                        "which also the fixes that need your eye are applied; all can be undone")
    parser.add_argument("--undo", nargs="?", const=LAST, metavar="ID", help="take fixes back: "
                        "those of an id that a report told, or the last ones")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON; '-' "
                        "prints it instead of the text")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="draw the pictures with what "
                        "was found, as PNG or JPEG; further sheets get numbers")
    parser.add_argument("--all", action="store_true", help="tell every finding, however many")
    parser.add_argument("--resolution", type=int, default=1024, help="what will be trained at, in "
                        "pixels (1024)")
    parser.add_argument("--background", default="white", help="colour behind transparent parts: "
                        "white, grey, black or #rrggbb")
    parser.add_argument("--caption-extension", default=".txt", help="ending of the captions (.txt)")
    add_settings(parser, LintSettings)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.undo is not None:
        return _undo(arguments)
    if arguments.sheet is not None:
        _ending(arguments.sheet)  # Before anything is changed.
    settings = settings_of(LintSettings, arguments)
    buckets = BucketSettings(resolution_px=arguments.resolution)
    looks, progress = PictureLooks(), _Quiet()

    def context(dataset: Dataset) -> LintContext:
        return LintContext(
            dataset=dataset, settings=settings, buckets=buckets, progress=progress, looks=looks
        )

    found = [
        lint_and_mend(context, _read(folder, arguments), arguments.fix)
        for folder in arguments.folders
    ]
    _tell(found, arguments)
    return 1 if any(mended.report.errors for mended in found) else 0


def _read(folder: Path, arguments: argparse.Namespace) -> Dataset:
    return scan_folder(
        folder, name=folder.name or str(folder), background=arguments.background,
        caption_extension=arguments.caption_extension, lenient=True,
    )


def _undo(arguments: argparse.Namespace) -> int:
    if arguments.fix != NOTHING:
        raise ConfigError(
            "Both --fix and --undo are given",
            expected="one of them",
            remedy="Undo first, look, then mend",
        )
    for made in undo_fixes(arguments.folders, arguments.undo):
        print(f"{made.root}: took back '{made.reason}' ({len(made.rows)} changes)")
    return 0


def _tell(found: list[Mended], arguments: argparse.Namespace) -> None:
    if arguments.json is not None:
        rows = [_row(mended) for mended in found]
        if str(arguments.json) == "-":
            json.dump(rows, sys.stdout, indent=2, ensure_ascii=False)
            print()
        else:
            atomic.write_json(arguments.json, rows)
    if str(arguments.json) != "-":
        most = sys.maxsize if arguments.all else MOST_SHOWN
        parts = [text for m in found for text in (m.applied.text(), told(m.report, most=most))]
        print("\n\n".join(part for part in parts if part))
    if arguments.sheet is not None:
        _draw(found, arguments.sheet)


def _row(mended: Mended) -> dict[str, Any]:
    applied = mended.applied
    return mended.report.as_json() | {
        "mended": [finding.fix.text for finding in applied.done if finding.fix],
        "not_mended": [{"rule": finding.rule, "why": why} for finding, why in applied.skipped],
        "undo": applied.id or None,
    }


def _draw(found: list[Mended], path: Path) -> None:
    """One file per sheet: the first under the name that was given."""
    sheets = [sheet for mended in found for sheet in draw_sheets(mended.dataset, mended.report)]
    for number, sheet in enumerate(sheets, start=1):
        more = "" if number == 1 else f"_{number}"
        data = io.BytesIO()
        sheet.save(data, format=_KINDS[_ending(path)])
        atomic.write_bytes(path.with_name(f"{path.stem}{more}{_ending(path)}"), data.getvalue())


def _ending(path: Path) -> str:
    """Of the sheets.

    Raises:
        ConfigError: it is of no picture that we write.
    """
    ending = path.suffix.lower() or ".png"
    if ending not in _KINDS:
        raise ConfigError(
            f"--sheet is {path.name!r}",
            expected=f"a name that ends in {', '.join(_KINDS)}",
            remedy="Write another ending",
        )
    return ending


COMMAND = Command(
    "lint", "tell what is wrong with a dataset, and mend it so that it can be undone", _arguments,
    _run,
)
