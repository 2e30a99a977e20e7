"""What all tests share: the pack under its own name, a ComfyUI in this process, a real server.

The repository root must not be on ``sys.path`` (our ``nodes/`` would shadow ComfyUI's), so pytest
runs with ``--import-mode=importlib``, no test folder is a package, and the pack is loaded by spec.
"""

from __future__ import annotations

import gc
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lora_kiln.devtools.comfy_server import ComfyServer

ROOT = Path(__file__).resolve().parent.parent
# One group is one worker, and so one booted server for all tests that need one.
SERVER_GROUP = "comfy-server"
_FIXTURE_MARKS = {"comfy_server": "server", "browser_page": "browser"}

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported, and for every process a test starts: two workers, two cores.
    for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[_name] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")


def _load_pack() -> None:
    spec = importlib.util.spec_from_file_location(
        "kiln_load_pack", ROOT / "devtools" / "load_pack.py"
    )
    assert spec is not None and spec.loader is not None
    loader: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loader)
    loader.load_pack()


_load_pack()


def pytest_configure(config: pytest.Config) -> None:
    """Give hypothesis a profile that repeats itself."""
    del config
    from hypothesis import settings

    settings.register_profile("kiln", deadline=None, derandomize=True, print_blob=True)
    settings.load_profile("kiln")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark tests by the fixtures they use, and keep those with a server on one worker.

    A wrapper, to come before pytest selects by mark and before xdist reads the groups.
    """
    for item in items:
        for fixture, mark in _FIXTURE_MARKS.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)
        if item.get_closest_marker("server") and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(SERVER_GROUP))
    yield


@pytest.fixture(scope="session")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ComfyUI, importable in this process; the value is its temporary base directory.

    On the CPU unless ``KILN_TEST_DEVICE`` says otherwise. Import ``comfy`` inside the test.
    """
    from lora_kiln.devtools.comfy_import import import_comfy

    base = tmp_path_factory.mktemp("comfy")
    return import_comfy(base, device=os.environ.get("KILN_TEST_DEVICE", "cpu"))


@pytest.fixture(scope="session")
def comfy_server() -> Iterator[ComfyServer]:
    """A running ComfyUI server with the pack, on a temporary base directory.

    One for all tests of a worker: leave it running and its nodes idle. A test that kills or
    reconfigures a server starts its own.
    """
    from lora_kiln.devtools.comfy_server import ComfyServer

    with ComfyServer(device=os.environ.get("KILN_TEST_DEVICE", "cpu"), threads=1) as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def _little_to_collect(request: pytest.FixtureRequest) -> Iterator[None]:
    """ComfyUI collects all garbage whenever a model was let go, which tests do all the time.

    In a worker that has imported everything, each time costs a second: what is there before a
    module is left out of it.
    """
    if not {"host", "nodes"} & set(request.path.parts):
        yield
        return
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
