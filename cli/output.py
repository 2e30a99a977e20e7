"""What commands that write a LoRA have in common: where it goes, and how it is told."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ..core.errors import ConfigError, KilnError
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


def check_output(files: Sequence[Path], out: Path | None) -> None:
    """Refuse one file as the output for several.

    Raises:
        ConfigError: it is one.
    """
    if out is not None and len(files) > 1 and (out.is_file() or out.suffix == ".safetensors"):
        raise ConfigError(
            f"{len(files)} files shall become the one file {out}",
            expected="a folder for them",
            remedy="Name a folder as the output, or name the files one by one",
        )


def each_told(files: Sequence[Path], make: Callable[[Path], Report]) -> list[Report]:
    """A report for each file; one that fails does not keep the others back."""
    reports: list[Report] = []
    for file in files:
        try:
            report = make(file)
        except KilnError as error:
            report = {"error": str(error)}
        except OSError as error:
            report = {"error": f"It cannot be read or written: {error}"}
        reports.append({"source": str(file), **report})
    return reports


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
