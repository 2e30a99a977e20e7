"""``kiln.py inspect``: why does my LoRA do nothing?"""

from __future__ import annotations

import argparse
import json
import sys

from ..core.errors import ConfigError
from ..lora_format.inspect import inspect
from ..lora_format.told import told
from ..lora_format.versions import as_version
from .command import Command, files_of
from .convert import add_model_arguments, base_of


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="LoRA files, folders or patterns")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--comfyui-version", metavar="VERSION", help="of the ComfyUI that shall "
                        "load the files, such as 0.3.75; without it, none is taken for too old")
    add_model_arguments(parser)


def _run(arguments: argparse.Namespace) -> int:
    version: str | None = arguments.comfyui_version
    if version is not None and as_version(version) is None:
        raise ConfigError(
            f"'{version}' is given as ComfyUI's version",
            expected="numbers with dots, such as 0.3.75",
            remedy="Look it up in comfyui_version.py, or leave --comfyui-version out",
        )
    files = files_of(arguments.files)
    base, weights = base_of(arguments)
    reports = [inspect(file, base, arguments.adapter, weights, version) for file in files]
    if arguments.json:
        json.dump([report.as_json() for report in reports], sys.stdout, indent=2)
        print()
    else:
        print("\n\n".join(told(report) for report in reports))
    return 0 if all(report.works for report in reports) else 1


COMMAND = Command(
    "inspect", "tell why a LoRA does nothing, or that it is in order", _arguments, _run
)
