"""``kiln.py extract``: a LoRA of the difference between two checkpoints."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..lora_format.base import read_base
from ..lora_format.compare import Checkpoints
from ..lora_format.edit_reports import extract_report
from ..lora_format.edited import described
from ..lora_format.extract import ExtractSettings, extract, extracted_lora
from ..lora_format.save import save_conversion
from .command import Command, add_settings, settings_of
from .output import add_output_arguments, output_path, show

STEPS = 50
"""Pairs between two lines of progress."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tuned", type=Path, metavar="TUNED", help="checkpoint of the tuned model")
    parser.add_argument("original", type=Path, metavar="ORIGINAL", help="checkpoint of the model "
                        "it was tuned from")
    parser.add_argument("--text-encoders", action=argparse.BooleanOptionalAction, default=True,
                        help="also compare text encoders that both files have")
    add_output_arguments(parser, "TUNED_lora.safetensors beside it")
    add_settings(parser, ExtractSettings)


def _run(arguments: argparse.Namespace) -> int:
    settings = settings_of(ExtractSettings, arguments)
    pairs = Checkpoints(
        tuned=read_base(arguments.tuned), original=read_base(arguments.original),
        text_encoders=arguments.text_encoders,
    )
    found = extract(pairs, settings, step=_Progress(len(pairs)))
    found.left_out += pairs.uncomparable()
    name = f"{arguments.tuned.stem}_lora.safetensors"
    target = output_path(arguments.out, arguments.tuned.with_name(name))
    sources = {"tuned": described(arguments.tuned), "original": described(arguments.original)}
    conversion = extracted_lora(found, pairs.original.base, settings, sources, title=target.stem)
    saved = save_conversion(conversion, target, arguments.embeddings)
    return show([extract_report(found, conversion, saved)], as_json=arguments.json)


class _Progress:
    """Counts on standard error, where somebody watches."""

    def __init__(self, total: int) -> None:
        self._done, self._total = 0, total

    def __call__(self) -> None:
        self._done += 1
        if sys.stderr.isatty() and (self._done % STEPS == 0 or self._done == self._total):
            end = "\n" if self._done == self._total else ""
            print(f"\r{self._done} of {self._total}", end=end, file=sys.stderr, flush=True)


COMMAND = Command(
    "extract", "make a LoRA of the difference between two models", _arguments, _run
)
