"""``kiln.py diff``: what changed between two states of a dataset?"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from ..dataset.manifest import MANIFEST_FILE, Manifest, manifest_of, read_manifest
from ..dataset.manifest_diff import describe_diff, diff_manifests
from ..dataset.scan import scan_folder
from .command import Command

RUN_FILE = "run.json"
"""As ``trainer.runs`` writes it."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    what = f"a run's folder, its {MANIFEST_FILE}, or a folder of pictures"
    parser.add_argument("before", type=Path, metavar="BEFORE", help=what)
    parser.add_argument("after", type=Path, metavar="AFTER", help="likewise")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def _run(arguments: argparse.Namespace) -> int:
    before, after = _kept(arguments.before), _kept(arguments.after)
    # Transparent parts of a folder are laid on the colour that the other state was trained with.
    diff = diff_manifests(
        before or _scanned(arguments.before, after), after or _scanned(arguments.after, before)
    )
    if arguments.json:
        json.dump(asdict(diff), sys.stdout, indent=2, ensure_ascii=False)
        print()
    else:
        print(describe_diff(diff))
    return 0 if diff.is_empty else 1


def _kept(path: Path) -> Manifest | None:
    """The state that a run kept; None where the path is a folder of pictures."""
    if path.is_file():
        return read_manifest(path)
    is_run = (path / RUN_FILE).is_file() and (path / MANIFEST_FILE).is_file()
    return read_manifest(path / MANIFEST_FILE) if is_run else None


def _scanned(path: Path, other: Manifest | None) -> Manifest:
    background = other.background if other else "white"
    return manifest_of(scan_folder(path, name=path.name, background=background))


COMMAND = Command(
    "diff", "tell what changed in a dataset since a training, or between two", _arguments, _run
)
