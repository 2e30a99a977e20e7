"""``kiln.py bake``: a file whose strength 1 is another strength of its source."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..lora_format.edit_reports import Report, strength_report
from ..lora_format.read import read
from ..lora_format.save import save_conversion
from ..lora_format.strength import StrengthSettings, bake_strength, baked_name
from .command import Command, add_settings, files_of, settings_of
from .convert import add_model_arguments, base_of
from .output import add_output_arguments, check_output, each_told, output_path, show


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="LoRA files, folders or patterns")
    add_output_arguments(parser, "beside the source, with the strength in its name,")
    add_model_arguments(parser)
    add_settings(parser, StrengthSettings)


def _run(arguments: argparse.Namespace) -> int:
    settings = settings_of(StrengthSettings, arguments)
    files = files_of(arguments.files)
    check_output(files, arguments.out)
    base, weights = base_of(arguments)

    def make(file: Path) -> Report:
        target = output_path(arguments.out, file.with_name(baked_name(file, settings)))
        reading = read(file, base, arguments.adapter)
        baked = bake_strength(reading, settings, weights, title=target.stem)
        saved = save_conversion(baked.conversion, target, arguments.embeddings)
        return strength_report(baked, settings, saved)

    return show(each_told(files, make), as_json=arguments.json)


COMMAND = Command("bake", "make another strength of a LoRA its strength 1", _arguments, _run)
