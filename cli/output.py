"""What commands that write a LoRA have in common: where it goes, and how it is told."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..lora_format.edit_reports import Report, lines_of


def add_output_arguments(parser: argparse.ArgumentParser, out: str) -> None:
    """Where the result goes, and how it is told."""
    parser.add_argument("--out", type=Path, help=f"file or folder to write to; {out} by default")
    parser.add_argument("--embeddings", type=Path, help="folder for bundled embeddings")
    parser.add_argument("--json", action="store_true", help="print a report as JSON")


def output_path(out: Path | None, default: Path) -> Path:
    """The file to write: a folder gets the default's name."""
    if out is None:
        return default
    return out / default.name if out.is_dir() or out.suffix != ".safetensors" else out


def show(reports: list[Report], *, as_json: bool) -> int:
    """Print reports; returns the exit status, 0 only when nothing was lost."""
    if as_json:
        json.dump(reports, sys.stdout, indent=2)
        print()
    for report in () if as_json else reports:
        if "error" in report:
            print(f"{report['source']}: {report['error']}", file=sys.stderr)
        else:
            print("\n  ".join([report["written"], *lines_of(report)]))
    return 1 if any(report.get("error") or report.get("left_out") for report in reports) else 0
