"""``kiln.py resize``: smaller ranks, by number or by what they keep."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..lora_format.edit_reports import Report, resize_report
from ..lora_format.read import read
from ..lora_format.resize import ResizeSettings, resize, resized_name
from ..lora_format.save import save_conversion
from .command import Command, add_settings, files_of, settings_of
from .convert import add_model_arguments, base_of
from .output import add_output_arguments, check_output, each_told, output_path, show


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="LoRA files, folders or patterns")
    add_output_arguments(parser, "beside the source")
    add_model_arguments(parser)
    add_settings(parser, ResizeSettings)


def _run(arguments: argparse.Namespace) -> int:
    settings = settings_of(ResizeSettings, arguments)
    files = files_of(arguments.files)
    check_output(files, arguments.out)
    base, weights = base_of(arguments)

    def make(file: Path) -> Report:
        target = output_path(arguments.out, file.with_name(resized_name(file, settings)))
        resized = resize(read(file, base, arguments.adapter), settings, weights)
        saved = save_conversion(resized.conversion, target, arguments.embeddings)
        return resize_report(resized, saved)

    return show(each_told(files, make), as_json=arguments.json)


COMMAND = Command("resize", "give a LoRA smaller ranks", _arguments, _run)
