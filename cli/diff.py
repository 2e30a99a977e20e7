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


def _arguments(parser: argparse.ArgumentParser) -> None:
    what = f"a run's folder, its {MANIFEST_FILE}, or a folder of pictures"
    parser.add_argument("before", type=Path, metavar="BEFORE", help=what)
    parser.add_argument("after", type=Path, metavar="AFTER", help="likewise")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def _run(arguments: argparse.Namespace) -> int:
    diff = diff_manifests(_state(arguments.before), _state(arguments.after))
    if arguments.json:
        json.dump(asdict(diff), sys.stdout, indent=2, ensure_ascii=False)
        print()
    else:
        print(describe_diff(diff))
    return 0 if diff.is_empty else 1


def _state(path: Path) -> Manifest:
    """The state behind a path: kept by a run, or taken of a folder now."""
    if path.is_file():
        return read_manifest(path)
    if (path / MANIFEST_FILE).is_file():
        return read_manifest(path / MANIFEST_FILE)
    return manifest_of(scan_folder(path, name=path.name))


COMMAND = Command(
    "diff", "tell what changed in a dataset since a training, or between two", _arguments, _run
)
