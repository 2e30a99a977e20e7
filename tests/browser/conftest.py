"""A real browser for tests, and pictures of what it shows."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lora_kiln.devtools.browser import REMEDY, find_chromium, launch

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PICTURES = Path(__file__).resolve().parents[2] / ".out" / "screenshots"
_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Remember a failure for the fixtures that end after it."""
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One headless Chromium for all tests of a worker."""
    program = find_chromium()
    if program is None:
        reason = f"No Chromium was found. {REMEDY}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = launch(playwright, program)
        yield running
        running.close()


@pytest.fixture
def browser_page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page without cookies or storage; a picture of it is kept when the test fails."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    page = context.new_page()
    yield page
    if request.node.stash.get(_FAILED, False):
        page.screenshot(path=str(_picture(request, "failed")))
    context.close()


@pytest.fixture
def screenshot(browser_page: Page, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Take a picture of the page under a name; returns its file below ``.out/screenshots``."""

    def take(name: str) -> Path:
        path = _picture(request, name)
        browser_page.screenshot(path=str(path))
        return path

    return take


def _picture(request: pytest.FixtureRequest, name: str) -> Path:
    PICTURES.mkdir(parents=True, exist_ok=True)
    safe = re.sub(r"[^\w.-]+", "-", f"{request.node.name}-{name}")
    return PICTURES / f"{safe}.png"
