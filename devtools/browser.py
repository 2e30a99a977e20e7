"""Finds a Chromium and starts it for tests and pictures, cut off from all but this machine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_MACOS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # No name but loopback's resolves: a page cannot reach out, and does not wait for it either.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
REMEDY = (
    "Install Debian's package chromium (apt-get install chromium) or another Chromium, or set "
    "KILN_CHROMIUM to its program."
)


def find_chromium() -> Path | None:
    """The browser's program: ``KILN_CHROMIUM``, else the first known one; None without any.

    Raises:
        FileNotFoundError: ``KILN_CHROMIUM`` names no file.
    """
    named = os.environ.get("KILN_CHROMIUM")
    if named:
        if not Path(named).is_file():
            raise FileNotFoundError(f"KILN_CHROMIUM is {named}, and that is no file. {REMEDY}")
        return Path(named)
    for name in _NAMES:
        found = shutil.which(name)
        if found:
            return Path(found)
    if sys.platform == "darwin":
        return next((Path(path) for path in _MACOS if Path(path).is_file()), None)
    return None


def launch(playwright: Playwright, program: Path) -> Browser:
    """Start a headless browser with a profile of its own."""
    return playwright.chromium.launch(
        executable_path=str(program), headless=True, args=list(ARGUMENTS)
    )


def open_front_end(page: Page, url: str, timeout_s: float = 90.0) -> None:
    """Open ComfyUI's front end and wait until a person could use it."""
    page.goto(url)
    page.wait_for_function(
        "window.app?.graph && document.querySelector('canvas')"
        " && !document.querySelector('#splash-loader, .p-blockui-mask')",
        timeout=timeout_s * 1000,
    )


def load_workflow(page: Page, graph: dict[str, Any]) -> None:
    """Load a workflow as it is saved by the front end, not in API form."""
    page.evaluate("graph => window.app.loadGraphData(graph)", graph)
