"""ComfyUI's front end opens from a server with the pack, without errors of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lora_kiln.devtools.browser import load_workflow, open_front_end

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from lora_kiln.devtools.comfy_server import ComfyServer


GRAPH = {
    "version": 0.4,
    "nodes": [{"id": 1, "type": "EmptyImage", "title": "Blank", "pos": [200, 200]}],
    "links": [],
}


def test_the_front_end_opens(
    comfy_server: ComfyServer, browser_page: Page, screenshot: Callable[[str], Path]
) -> None:
    errors: list[str] = []
    browser_page.on("pageerror", lambda error: errors.append(str(error)))
    open_front_end(browser_page, comfy_server.url)
    load_workflow(browser_page, GRAPH)
    titles = browser_page.evaluate("window.app.graph._nodes.map(node => node.title)")
    assert titles == ["Blank"]
    picture = screenshot("open")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert [error for error in errors if "lora-kiln" in error] == []
