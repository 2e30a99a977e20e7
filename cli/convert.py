"""``kiln.py convert``: any LoRA into one that ComfyUI, diffusers or PEFT loads whole."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from ..lora_format.base import BaseFile, read_base
from ..lora_format.convert import Conversion, ConvertSettings, convert, default_name
from ..lora_format.family import families, table_of
from ..lora_format.read import Base, Reading, read
from ..lora_format.save import Saved, save_conversion
from .command import Command, add_settings, files_of, settings_of
from .output import check_output, each_told, output_path


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """How to say which model a LoRA is for."""
    parser.add_argument("--base", type=Path, help="checkpoint of the model the LoRA is for; needed "
                        "only for models of odd sizes, and for some DoRA")
    parser.add_argument("--family", choices=list(families()), help="the kind of model, where the "
                        "file leaves it open")
    parser.add_argument("--adapter", help="which adapter to take, when a file holds several")


def base_of(arguments: argparse.Namespace) -> tuple[Base | None, BaseFile | None]:
    """The model that was named, and its weights where a checkpoint was."""
    if arguments.base is not None:
        file = read_base(arguments.base)
        return file.base, file
    if arguments.family is not None:
        return Base(family=arguments.family, table=table_of(arguments.family)), None
    return None, None


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="IN", help="LoRA files, folders or patterns; "
                        "without --out, the last of several is the output, unless it is a file "
                        "that is there")
    parser.add_argument("--out", type=Path, help="file or folder to write to; beside the source by "
                        "default")
    parser.add_argument("--embeddings", type=Path, help="folder for bundled embeddings")
    parser.add_argument("--json", action="store_true", help="print a report as JSON")
    add_model_arguments(parser)
    add_settings(parser, ConvertSettings)


def _run(arguments: argparse.Namespace) -> int:
    out: Path | None = arguments.out
    names: list[str] = arguments.files
    if out is None and len(names) > 1 and _is_output(names[-1]):
        out, names = Path(names[-1]), names[:-1]
    settings = settings_of(ConvertSettings, arguments)
    files = files_of(names)
    check_output(files, out)
    base, weights = base_of(arguments)

    def make(file: Path) -> dict[str, Any]:
        reading = read(file, base, arguments.adapter)
        conversion = convert(reading, settings, weights)
        target = output_path(out, file.with_name(default_name(file, settings.to)))
        saved = save_conversion(conversion, target, arguments.embeddings)
        return _report(reading, conversion, saved)

    reports = each_told(files, make)
    if arguments.json:
        json.dump(reports, sys.stdout, indent=2)
        print()
    else:
        for report in reports:
            _show(report)
    lost = ("error", "left_out", "unread")
    return 1 if any(report.get(name) for report in reports for name in lost) else 0


def _is_output(name: str) -> bool:
    """The last of several names, unless it is a pattern, or a file that is there."""
    return not any(mark in name for mark in "*?[") and not Path(name).is_file()


def _report(reading: Reading, conversion: Conversion, saved: Saved) -> dict[str, Any]:
    module, error = conversion.proof.worst
    return {
        "written": str(saved.path) if saved.path else None,
        "embeddings": [str(path) for path in saved.embeddings],
        "format": list(reading.formats),
        "family": reading.lora.family,
        "layers": len(conversion.lora.layers),
        "worst_error": error if math.isfinite(error) else None,
        "worst_module": module,
        "findings": [finding.text for finding in reading.findings if finding.level != "error"],
        "left_out": list(conversion.left_out),
        "unread": list(conversion.unread),
    }


def _show(report: dict[str, Any]) -> None:
    if "error" in report:
        print(f"{report['source']}: {report['error']}", file=sys.stderr)
        return
    formats = ", ".join(report["format"]) or "unknown format"
    print(f"{report['source']}: {formats}, {report['family']}, {report['layers']} layers")
    for text in report["findings"]:
        print(f"  note     {text}")
    for text in report["left_out"]:
        print(f"  LEFT OUT {text}")
    for key in report["unread"]:
        print(f"  NOT READ by ComfyUI: {key}")
    if report["written"]:
        print(f"  written  {report['written']}")
        error = "no number" if report["worst_error"] is None else f"{report['worst_error']:.1e}"
        print(f"  proof    largest relative difference {error}")
    for path in report["embeddings"]:
        print(f"  words    {path}")


COMMAND = Command(
    "convert", "turn any LoRA file into one that a program loads whole", _arguments, _run
)
