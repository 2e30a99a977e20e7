"""``kiln.py merge``: several LoRAs as one."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..core.errors import ConfigError
from ..lora_format.edit_reports import merge_report
from ..lora_format.merge import MergeSettings, Source, merge
from ..lora_format.read import read
from ..lora_format.save import save_conversion
from .command import Command, add_settings, files_of, settings_of
from .convert import add_model_arguments, base_of
from .output import add_output_arguments, output_path, show

DEFAULT_NAME = "merged.safetensors"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="two or more LoRA files, folders "
                        "or patterns")
    parser.add_argument("--weights", nargs="+", type=float, metavar="W", help="one for each file, "
                        "as a loader's strength; 1 by default")
    parser.add_argument("--text-weights", nargs="+", type=float, metavar="W", help="the same for "
                        "text encoders; as --weights by default, 0 leaves them out")
    add_output_arguments(parser, f"{DEFAULT_NAME} beside the first file")
    add_model_arguments(parser)
    add_settings(parser, MergeSettings)


def _run(arguments: argparse.Namespace) -> int:
    settings = settings_of(MergeSettings, arguments)
    files = files_of(arguments.files)
    base, weights = base_of(arguments)
    own = _numbers("--weights", arguments.weights, files) or [1.0] * len(files)
    text = _numbers("--text-weights", arguments.text_weights, files) or own
    sources = [
        Source(reading=read(file, base, arguments.adapter), weight=weight, text_weight=text_weight)
        for file, weight, text_weight in zip(files, own, text, strict=True)
    ]
    target = output_path(arguments.out, files[0].with_name(DEFAULT_NAME))
    merged = merge(sources, settings, weights, title=target.stem)
    saved = save_conversion(merged.conversion, target, arguments.embeddings)
    return show([merge_report(merged, settings, saved)], as_json=arguments.json)


def _numbers(name: str, values: list[float] | None, files: list[Path]) -> list[float] | None:
    if values is not None and len(values) != len(files):
        raise ConfigError(
            f"{name} has {len(values)} numbers for {len(files)} files",
            expected="one number for each file",
            remedy="Name them in the order of the files: " + ", ".join(f.name for f in files),
        )
    return values


COMMAND = Command("merge", "make one LoRA of several, exactly or to a rank", _arguments, _run)
