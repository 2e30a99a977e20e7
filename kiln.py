"""LoRA Kiln without a browser: ``python kiln.py convert|inspect|lint …``; see ``--help``.

Needs Python with torch and safetensors; ComfyUI need not be there.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

PACKAGE = "lora_kiln"
ROOT = Path(__file__).resolve().parent


def load_pack() -> None:
    """Load this folder as a package, off the path, where its rooms would shadow others."""
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    spec = importlib.util.spec_from_file_location(
        PACKAGE, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None and spec.loader is not None
    sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[PACKAGE])


def main(words: list[str] | None = None) -> int:
    """Run a command; returns the exit status, 0 only when nothing was lost."""
    if PACKAGE not in sys.modules:
        load_pack()
    from lora_kiln.cli.command import commands
    from lora_kiln.core.errors import KilnError

    parser = argparse.ArgumentParser(prog="kiln.py", description=(__doc__ or "").split("\n")[0])
    below = parser.add_subparsers(dest="command", required=True)
    for command in commands().values():
        command.arguments(below.add_parser(command.name, help=command.help))
    arguments = parser.parse_args(words)
    try:
        return commands()[arguments.command].run(arguments)
    except KilnError as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"A file cannot be read or written: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
