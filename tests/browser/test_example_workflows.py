"""Example workflows open in the real front end, are what the server is sent, and run from there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lora_kiln.devtools.browser import open_front_end
from lora_kiln.devtools.make_workflow import export

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from lora_kiln.devtools.comfy_server import ComfyServer

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / "example_workflows").glob("*.json"))
SHORT = {"steps": 3, "warmup_steps": 0, "preview_every": 0, "run_name": "from_the_browser"}


def _open(page: Page, server: ComfyServer, workflow: Path) -> dict[str, Any]:
    open_front_end(page, server.url)
    graph: dict[str, Any] = json.loads(workflow.read_text("utf-8"))
    return export(page, graph)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_opens_and_exports_as_kept(
    comfy_server: ComfyServer,
    browser_page: Page,
    screenshot: Callable[[str], Path],
    workflow: Path,
) -> None:
    exported = _open(browser_page, comfy_server, workflow)
    kept = json.loads((ROOT / "tests" / "workflows" / f"{workflow.stem}.api.json").read_text())
    assert exported == kept
    toasts = browser_page.locator(".p-toast-message-error").all_inner_texts()
    assert toasts == []
    assert (workflow.with_suffix(".jpg")).is_file()
    screenshot(workflow.stem)


def test_the_demo_runs_from_the_browser(
    comfy_server: ComfyServer, browser_page: Page, screenshot: Callable[[str], Path]
) -> None:
    _open(browser_page, comfy_server, ROOT / "example_workflows" / "train_and_sweep_demo.json")
    browser_page.evaluate(
        """short => {
            for (const node of window.app.graph._nodes) {
                for (const widget of node.widgets ?? []) {
                    if (node.type === "KilnTrainLora" && widget.name in short) {
                        widget.value = short[widget.name]
                    }
                    if (node.type === "KilnSweep" && widget.name === "steps") widget.value = 4
                    if (node.type === "KSampler" && widget.name === "steps") widget.value = 4
                    if (node.type === "KilnAxisStrength" && widget.name === "values") {
                        widget.value = "0, 1"
                    }
                }
            }
        }""",
        SHORT,
    )
    browser_page.evaluate("window.app.queuePrompt(0, 1)")
    grid = "Object.values(window.app.nodeOutputs ?? {}).some(o => o?.kiln_sweep)"
    browser_page.wait_for_function(grid, timeout=240_000)
    browser_page.wait_for_timeout(1500)
    screenshot("finished")
    assert browser_page.locator(".p-toast-message-error").all_inner_texts() == []
