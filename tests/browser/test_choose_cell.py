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
    "KilnSweep": {"steps": 2, "diff_view": False, "strip_axis": "none"},
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
def page(
    comfy_server: ComfyServer, browser_page: Page, request: pytest.FixtureRequest
) -> Page:
    """After a run of a small sweep with scores; the node is in view."""
    # Each test has a sweep of its own, and finds no decision in it.
    first = request.node.name == "test_a_click_is_the_persons_decision"
    prefix = "clicked" if first else request.node.name[:40]
    short = {**SHORT, "KilnSweep": {**SHORT["KilnSweep"], "file_prefix": prefix}}
    open_front_end(browser_page, comfy_server.url)
    load_workflow(browser_page, json.loads(WORKFLOW.read_text("utf-8")))
    browser_page.evaluate(SET_WIDGETS, short)
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
    assert set(inputs) == {"choice", "trigger", "sweep", "dataset", "chosen_in"}
    saved = page.evaluate(f"{SCORE}.serialize().widgets_values")
    assert saved == [14, "kilnprint", sweep_name(comfy_server)]
    assert errors == []


def sweep_name(server: ComfyServer, prefix: str = "clicked") -> str:
    """Of the newest sweep."""
    return max(p.name for p in (server.base / "output" / "kiln" / "sweeps").glob(f"{prefix}_*"))


def queue(page: Page, until: str) -> None:
    page.evaluate("window.app.queuePrompt(0, 1)")
    page.wait_for_function(until, timeout=120_000)


def set_widget(page: Page, node_type: str, name: str, value: Any) -> None:
    page.evaluate(
        """([type, name, value]) => {
            const node = window.app.graph._nodes.find(own => own.type === type);
            node.widgets.find(own => own.name === name).value = value;
        }""",
        [node_type, name, value],
    )


def test_a_sweep_that_grew_keeps_the_chosen_picture(
    comfy_server: ComfyServer, page: Page, screenshot: Callable[[str], Path]
) -> None:
    """Its number is another one; the page follows, and nobody's choice is made up."""
    cell(page, 2).click()
    label = str(cell(page, 2).get_attribute("title")).split(", ", 1)[1]
    set_widget(page, "KilnAxisStrength", "values", "0, 0.25, 0.5, 1, 1.5")
    set_widget(page, "KilnSweep", "file_prefix", "grown")
    queue(page, f"{CHOICE}.value === 3")
    name = sweep_name(comfy_server, "grown")
    path = comfy_server.base / "output" / "kiln" / "sweeps" / name / "decision.json"
    stored = json.loads(path.read_text("utf-8"))
    assert (stored["cell"], stored["decided_by"]) == (3, "person")
    assert cell(page, 3).get_attribute("aria-selected") == "true"
    title = str(cell(page, 3).get_attribute("title"))
    assert title.split(", shortlist")[0].endswith(label.split(", shortlist")[0])
    assert "and stored" in page.locator(".kiln-said").inner_text()
    screenshot("grown")
    # Without that cell nothing is chosen.
    set_widget(page, "KilnAxisStrength", "values", "0, 0.25")
    queue(page, f"{CHOICE}.value === -1")
    assert page.locator(".kiln-cells [aria-selected='true']").count() == 0
    assert "only a suggestion" in page.locator(".kiln-said").inner_text()


def test_a_linked_choice_and_a_node_in_a_subgraph(
    comfy_server: ComfyServer, page: Page, screenshot: Callable[[str], Path]
) -> None:
    """Where a number comes in by a link a click says so; inside a subgraph all works as outside."""
    set_widget(page, "KilnSweep", "file_prefix", "linked")
    page.evaluate(
        f"""() => {{
            const [score, graph] = [{SCORE}, window.app.graph];
            const number = window.LiteGraph.createNode("PrimitiveInt");
            graph.add(number);
            number.widgets[0].value = 5;
            number.connect(0, score, score.inputs.findIndex(own => own.name === "choice"));
        }}"""
    )
    cell(page, 2).click()
    assert "comes in by a link" in page.locator(".kiln-said").inner_text()
    assert choice(page) == -1
    sweeps = comfy_server.base / "output" / "kiln" / "sweeps"
    queue(page, "document.querySelector('.kiln-cells [data-cell=\"5\"][data-stored]')")
    stored = json.loads((sweeps / sweep_name(comfy_server, "linked") / "decision.json").read_text())
    assert (stored["cell"], stored["decided_by"]) == (5, "person")

    page.evaluate(
        f"""() => {{
            const [score, graph] = [{SCORE}, window.app.graph];
            score.disconnectInput(score.inputs.findIndex(own => own.name === "choice"));
            const {{ subgraph, node }} = graph.convertToSubgraph(new Set([score]));
            window.kilnTest = {{ subgraph, node }};
        }}"""
    )
    set_widget(page, "KilnSweep", "file_prefix", "inside")
    inner = "window.kilnTest.subgraph.nodes.find(own => own.type === 'KilnScoreSweep')"
    folder = "inside_00001"
    page.evaluate("window.app.queuePrompt(0, 1)")
    page.wait_for_function(
        f"{inner}.widgets.some(own => own.name === 'kiln_cells')", timeout=120_000
    )
    page.evaluate(
        "() => { const { subgraph, node } = window.kilnTest; const canvas = window.app.canvas;"
        " canvas.openSubgraph(subgraph, node); canvas.ds.scale = 0.8;"
        f" canvas.centerOnNode({inner}); }}"
    )
    page.wait_for_selector(".kiln-cells [data-cell='6'] img", timeout=30_000)
    screenshot("inside")
    cell(page, 6).click()
    value = f"{inner}.widgets.find(own => own.name === 'choice').value"
    assert page.evaluate(value) == 6
    queue(page, "document.querySelector('.kiln-said').textContent.includes('and stored')")
    stored = json.loads((sweeps / folder / "decision.json").read_text())
    assert (stored["cell"], stored["decided_by"]) == (6, "person")
