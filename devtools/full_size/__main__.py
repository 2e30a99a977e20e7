"""SDXL and Z-Image at full size, each in a process of its own; prints JSON.

    python -m devtools.full_size [sdxl] [z_image] [--folder FOLDER]

Random weights of the real dimensions are written into a temporary folder (12.4 GB at the largest),
loaded by ComfyUI's stock loader under ``--cpu --bf16-unet``, trained for two steps at 256², and the
saved LoRA is matched by the stock loader's own mapping. The folder is removed afterwards, whatever
happened.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from .plans import PLANS, shortage

ROOT = Path(__file__).resolve().parents[2]
KILLED = -9
"""How Linux ends a process when memory runs out."""
ENVIRONMENT = {
    # On a machine with a card too: what is measured is memory of the process.
    "CUDA_VISIBLE_DEVICES": "",
    # Threads that wait would else burn CPU seconds wherever other programs hold a core.
    "OMP_WAIT_POLICY": "PASSIVE",
}


def measure(family: str, folder: Path | None = None) -> dict[str, Any]:
    """Carry out a family's plan in a process of its own.

    Args:
        family: name of a plan.
        folder: where the temporary folder is made; the system's place for such by default.

    Returns:
        What ``run.run_plan`` returns; with ``not_measured`` and the reason instead where memory or
        disk do not suffice.

    Raises:
        subprocess.CalledProcessError: it failed; its errors went to stderr.
    """
    with tempfile.TemporaryDirectory(prefix="kiln-full-size-", dir=folder) as base:
        why = shortage(PLANS[family], Path(base))
        if why:
            return {"family": family, "not_measured": why}
        command = [sys.executable, "-m", "devtools.full_size", family, "--inside", base]
        environment = {**os.environ, **ENVIRONMENT}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, check=False, stdout=subprocess.PIPE, text=True
        )
    if done.returncode == KILLED:
        return {"family": family, "not_measured": "not measured: killed, for want of memory"}
    done.check_returncode()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _leave(number: int, frame: object) -> NoReturn:
    """End through the ``with`` blocks, which remove the files."""
    del frame
    sys.exit(128 + number)


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", help=f"of {', '.join(PLANS)}; all by default")
    parser.add_argument("--folder", type=Path, help="where to write the files")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = set(arguments.families) - set(PLANS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; expected {', '.join(PLANS)}")
    if arguments.inside:
        from .run import run_plan

        print(json.dumps(run_plan(PLANS[arguments.families[0]], arguments.inside)))
        return
    signal.signal(signal.SIGTERM, _leave)
    families = arguments.families or list(PLANS)
    print(json.dumps([measure(family, arguments.folder) for family in families], indent=2))


if __name__ == "__main__":
    main()
