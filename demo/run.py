"""The demo: a real ComfyUI, a LoRA trained in it, and a grid that shows what it does.

    make demo                       train and sweep, then end
    make demo ARGS="--keep-server"  leave the server up, to open the same graph in a browser

Everything lies below ``.out/demo/<time>`` in this repository; no other ComfyUI is touched.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORKFLOW = ROOT / "example_workflows" / "train_and_sweep_demo.json"
PROMPT = ROOT / "tests" / "workflows" / "train_and_sweep_demo.api.json"
TRAIN_NODE, SWEEP_NODE = "KilnTrainLora", "KilnSweep"
BAR_WIDTH = 28


class Terminal:
    """Shows events of a prompt on one line, and leaves a line per finished node."""

    def __init__(self, prompt: dict[str, Any]) -> None:
        self._names = {node: entry["class_type"] for node, entry in prompt.items()}
        self._live = sys.stdout.isatty()
        self._shown = -1

    def event(self, event: dict[str, Any]) -> None:
        """Take in one event of the server."""
        data = event.get("data") or {}
        if event["type"] == "executing" and data.get("node"):
            self._end_line()
            print(f"  {self._names.get(data['node'], data['node'])}", flush=True)
        elif event["type"] == "progress":
            self._progress(data["value"], data["max"])

    def _progress(self, value: int, most: int) -> None:
        share = value / max(most, 1)
        if self._live:
            bar = "#" * round(share * BAR_WIDTH)
            print(f"\r    [{bar:<{BAR_WIDTH}}] {value}/{most} ", end="", flush=True)
            self._shown = 0
        elif (tenth := int(share * 10)) != self._shown:
            self._shown = tenth
            print(f"    {value}/{most}", flush=True)

    def _end_line(self) -> None:
        if self._live and self._shown >= 0:
            print()
        self._shown = -1


def main() -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--keep-server", action="store_true", help="leave the server up")
    parser.add_argument("--timeout", type=float, default=1500.0, help="longest wait in seconds")
    arguments = parser.parse_args()
    load_pack()
    from lora_kiln.devtools.comfy_server import ComfyServer

    started = time.monotonic()
    base = ROOT / ".out" / "demo" / time.strftime("%Y%m%d-%H%M%S")
    base.mkdir(parents=True)
    print("Starting ComfyUI ...", flush=True)
    with ComfyServer(base) as server:
        put_workflow(base)
        prompt = json.loads(PROMPT.read_text("utf-8"))
        graph = json.loads(WORKFLOW.read_text("utf-8"))
        print(f"Queueing {WORKFLOW.name} at {server.url}", flush=True)
        history = server.client().run(
            prompt,
            on_event=Terminal(prompt).event,
            timeout_s=arguments.timeout,
            extra_data={"extra_pnginfo": {"workflow": graph}},
        )
        report(base, prompt, history, server.url, time.monotonic() - started)
        if arguments.keep_server:
            keep_up(server.url)
    return 0


def load_pack() -> None:
    """Load the repository as package ``lora_kiln``, by the file that knows how."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(
        "kiln_load_pack", ROOT / "devtools" / "load_pack.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.load_pack()


def put_workflow(base: Path) -> None:
    """Lay the graph where the front end lists it under Workflows."""
    folder = base / "user" / "default" / "workflows"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(WORKFLOW, folder / WORKFLOW.name)


def report(
    base: Path, prompt: dict[str, Any], history: dict[str, Any], url: str, seconds: float
) -> None:
    """Print what came of it."""
    trained = output_of(prompt, history, TRAIN_NODE, "kiln_train")
    swept = output_of(prompt, history, SWEEP_NODE, "kiln_sweep")
    lora = base / "models" / "loras" / trained["lora_name"]
    grid = base / "output" / swept["folder"] / "grid.png"
    for path in (lora, grid):
        if not path.is_file():
            raise SystemExit(f"{path} is missing. Expected the demo to write it. See the log.")
    print()
    print(f"  loss            {trained['loss_start']:.4f} -> {trained['loss_end']:.4f}"
          f"   (same pictures and noise before and after {trained['steps']} steps)")
    print(f"  LoRA            {lora}")
    print(f"  grid            {grid}")
    for note in swept["notes"]:
        print(f"  sweep           {note}")
    print(f"  time            {seconds:.0f} s")
    print(f'  in the browser  make demo ARGS="--keep-server"  and open {url} , Workflows, '
          f"{WORKFLOW.stem}")


def output_of(
    prompt: dict[str, Any], history: dict[str, Any], node_type: str, key: str
) -> dict[str, Any]:
    """What a node sent to the browser."""
    node = next(node for node, entry in prompt.items() if entry["class_type"] == node_type)
    value: dict[str, Any] = history["outputs"][node][key][0]
    return value


def keep_up(url: str) -> None:
    """Wait until the person has seen enough."""
    print(f"\nThe server is at {url} ; Ctrl-C ends it.", flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    raise SystemExit(main())
