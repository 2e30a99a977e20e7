"""Runs every benchmark and prints one JSON document; see RESULTS.md for what was found when.

    make bench
"""

from __future__ import annotations

import json
import platform
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure everything."""
    sys.path.insert(0, str(ROOT))
    import torch

    from benchmarks import low_precision, sweep_vs_stock, train_step

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor()
    found = {
        "machine": {"torch": torch.__version__, "device": device or platform.machine()},
        "train_step": train_step.compare(rounds=5, steps=4),
        "sweep_vs_stock": sweep_vs_stock.compare(rounds=3),
        "low_precision": low_precision.compare(),
        "parity": low_precision.parity(),
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    if __package__:
        main()
    else:
        sys.path.insert(0, str(ROOT))
        runpy.run_module("benchmarks.run", run_name="__main__", alter_sys=True)
