"""A click on a cell in the page is the person's decision, stored by the next run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lora_kiln.devtools.browser import load_workflow, open_front_end

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from lora_kiln.devtools.comfy_server import ComfyServer

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / "example_workflows" / "compare_checkpoints_demo.json"
SHORT: dict[str, dict[str, Any]] = {
    "KilnTrainLora": {
        "run_name": "clicked", "steps": 4, "checkpoint_every": 2, "preview_every": 0,
        "warmup_steps": 0,
    },
    "KilnSweep": {"steps": 2, "file_prefix": "clicked", "diff_view": False, "strip_axis": "none"},
    "EmptyLatentImage": {"batch_size": 1},
    "KSampler": {"steps": 1},
}
SET_WIDGETS = """short => {
    for (const node of window.app.graph._nodes) {
        for (const widget of node.widgets ?? []) {
            const value = short[node.type]?.[widget.name];
            if (value !== undefined) widget.value = value;
        }
    }
}"""
SCORE = "window.app.graph._nodes.find(node => node.type === 'KilnScoreSweep')"
CHOICE = f"{SCORE}.widgets.find(widget => widget.name === 'choice')"


@pytest.fixture
def page(comfy_server: ComfyServer, browser_page: Page) -> Page:
    """After a run of a small sweep with scores; the node is in view."""
    open_front_end(browser_page, comfy_server.url)
    load_workflow(browser_page, json.loads(WORKFLOW.read_text("utf-8")))
    browser_page.evaluate(SET_WIDGETS, SHORT)
    assert browser_page.locator(".kiln-cells").count() == 0
    browser_page.evaluate("window.app.queuePrompt(0, 1)")
    browser_page.wait_for_selector(".kiln-cells [data-cell]", timeout=120_000, state="attached")
    browser_page.evaluate(
        f"() => {{ const node = {SCORE}; window.app.canvas.ds.scale = 0.8;"
        " window.app.canvas.centerOnNode(node); }"
    )
    browser_page.wait_for_selector(".kiln-cells [data-cell='0'] img")
    return browser_page


def cell(page: Page, number: int) -> Any:
    return page.locator(f".kiln-cells [data-cell='{number}']")


def choice(page: Page) -> int:
    value: int = page.evaluate(f"{CHOICE}.value")
    return value


def decision(server: ComfyServer) -> dict[str, Any]:
    (path,) = (server.base / "output" / "kiln" / "sweeps").glob("clicked_*/decision.json")
    value: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return value


def test_a_click_is_the_persons_decision(
    comfy_server: ComfyServer, page: Page, screenshot: Callable[[str], Path]
) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    said = page.locator(".kiln-said")
    assert decision(comfy_server)["decided_by"] == "shortlist suggestion"
    assert "only a suggestion" in said.inner_text()
    # Two checkpoints in rows, strengths 0, 0.5, 1 and 1.5 in columns, two seeds on pages.
    assert page.locator(".kiln-cells [data-cell]").count() == 8
    assert page.locator(".kiln-cells select option").count() == 2
    page.wait_for_function(
        "document.querySelector('.kiln-cells [data-cell=\"0\"] img').naturalWidth === 128"
    )

    cell(page, 2).click()
    assert choice(page) == 2
    assert cell(page, 2).get_attribute("aria-selected") == "true"
    assert "Run again" in said.inner_text()
    cell(page, 2).click()
    assert choice(page) == -1

    # The same with keys: to the right, the next page, choose.
    page.keyboard.press("ArrowRight")
    page.keyboard.press("PageDown")
    page.keyboard.press("Enter")
    assert choice(page) == 11
    assert page.locator(".kiln-cells select").evaluate("own => own.selectedIndex") == 1
    screenshot("chosen")

    page.evaluate("window.app.queuePrompt(0, 1)")
    page.wait_for_function(
        "document.querySelector('.kiln-said').textContent.includes('and stored')", timeout=60_000
    )
    stored = decision(comfy_server)
    assert (stored["cell"], stored["decided_by"]) == (11, "person")
    # Its place has not moved, and a number written by hand is marked, too.
    assert page.locator(".kiln-cells select").evaluate("own => own.selectedIndex") == 1
    page.evaluate(f"() => {{ const own = {CHOICE}; own.value = 14; own.callback(14); }}")
    assert cell(page, 14).get_attribute("aria-selected") == "true"
    assert said.inner_text().startswith("Cell 14 ")
    screenshot("stored")

    # Nothing of the grid is queued or saved.
    queued = page.evaluate("async () => (await window.app.graphToPrompt()).output")
    (inputs,) = [own["inputs"] for own in queued.values() if own["class_type"] == "KilnScoreSweep"]
    assert set(inputs) == {"choice", "trigger", "sweep", "dataset"}
    saved = page.evaluate(f"{SCORE}.serialize().widgets_values")
    assert saved == [14, "kilnprint"]
    assert errors == []
