"""Turns an API prompt into a workflow of the front end, and back, with the front end itself.

    python -m devtools.make_workflow tests/workflows/NAME.api.json example_workflows/NAME.json

For authors of example workflows: the front end lays the nodes out and knows their widgets; a
layout of columns is then given to them. ``export`` is what the browser test compares with.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .browser import find_chromium, launch, load_workflow, open_front_end
from .comfy_server import ComfyServer

COLUMN_GAP, ROW_GAP = 70, 60


def author(page: Any, prompt: dict[str, Any]) -> dict[str, Any]:
    """The workflow of an API prompt, laid out in columns."""
    page.evaluate("prompt => window.app.loadApiJson(prompt, 'workflow')", prompt)
    page.wait_for_timeout(1500)
    graph: dict[str, Any] = page.evaluate("window.app.graph.serialize()")
    lay_out(graph)
    return graph


def export(page: Any, graph: dict[str, Any]) -> dict[str, Any]:
    """The API form that the front end would queue for a workflow."""
    load_workflow(page, graph)
    page.wait_for_timeout(1500)
    output: dict[str, Any] = page.evaluate("async () => (await window.app.graphToPrompt()).output")
    return output


def lay_out(graph: dict[str, Any]) -> None:
    """Columns by distance from the first nodes, rows within a column."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    sources: dict[int, set[int]] = {node_id: set() for node_id in nodes}
    for link in graph["links"]:
        sources[link[3]].add(link[1])

    def depth(node_id: int) -> int:
        return max((depth(source) + 1 for source in sources[node_id]), default=0)

    columns: dict[int, list[dict[str, Any]]] = {}
    for node_id, node in sorted(nodes.items()):
        columns.setdefault(depth(node_id), []).append(node)
    x = 80.0
    for _, column in sorted(columns.items()):
        y = 120.0
        for node in column:
            width, height = _size(node)
            node["pos"], node["size"] = [x, y], [width, height]
            y += height + ROW_GAP
        x += max(_size(node)[0] for node in column) + COLUMN_GAP


def _size(node: dict[str, Any]) -> tuple[float, float]:
    size = node["size"]
    pair = (size["0"], size["1"]) if isinstance(size, dict) else (size[0], size[1])
    wide = 400.0 if node["type"].startswith("Kiln") else 320.0
    tall = {"PreviewImage": 320.0, "KilnSweep": 980.0, "KilnTrainLora": 980.0}
    return max(wide, float(pair[0])), max(tall.get(node["type"], 0.0), float(pair[1]))


def main() -> None:
    """Author one workflow, and write its API form as the front end exports it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompt", type=Path)
    parser.add_argument("workflow", type=Path)
    parser.add_argument("--picture", type=Path, help="a screenshot of it")
    arguments = parser.parse_args()
    from playwright.sync_api import sync_playwright

    program = find_chromium()
    assert program is not None, "no Chromium was found"
    with ComfyServer() as server, sync_playwright() as playwright:
        page = launch(playwright, program).new_page(viewport={"width": 1900, "height": 1100})
        open_front_end(page, server.url)
        graph = author(page, json.loads(arguments.prompt.read_text("utf-8")))
        arguments.workflow.write_text(json.dumps(graph, indent=1) + "\n", "utf-8")
        prompt = export(page, graph)
        arguments.prompt.write_text(json.dumps(prompt, indent=1) + "\n", "utf-8")
        if arguments.picture:
            page.evaluate("window.app.canvas.ds.reset()")
            page.screenshot(path=str(arguments.picture))


if __name__ == "__main__":
    main()
