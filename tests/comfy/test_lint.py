"""The rotten dataset in a real server: found, mended, undone, and the example workflow."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from lora_kiln.tests.dataset.rotten import make_rotten, tree

if TYPE_CHECKING:
    from lora_kiln.devtools.comfy_server import ComfyServer

API = Path(__file__).resolve().parents[1] / "workflows" / "lint_demo.api.json"


@pytest.fixture
def rotten(comfy_server: ComfyServer) -> Iterator[Path]:
    folder = comfy_server.base / "input" / "kiln_rotten"
    make_rotten(folder)
    yield folder
    shutil.rmtree(folder)


def prompt(**changes: Any) -> dict[str, Any]:
    """The example workflow; ``changes`` are inputs of its nodes."""
    graph: dict[str, Any] = json.loads(API.read_text("utf-8"))
    for node in graph.values():
        node["inputs"] |= {name: v for name, v in changes.items() if name in node["inputs"]}
    return graph


def run(server: ComfyServer, **changes: Any) -> dict[str, Any]:
    """What the lint node shows, with the first sheet."""
    client, graph = server.client(), prompt(**changes)
    history = client.run(graph, timeout_s=300)
    shown = {node["class_type"]: history["outputs"].get(number) for number, node in graph.items()}
    image = shown["PreviewImage"]["images"][0]
    data = client.view(image["filename"], image["subfolder"], image["type"])
    with Image.open(io.BytesIO(data)) as sheet:
        assert min(sheet.size) > 400
    found: dict[str, Any] = shown["KilnLintDataset"]["kiln_lint"][0]
    return found


def test_the_example_workflow_runs(comfy_server: ComfyServer) -> None:
    found = run(comfy_server)
    # One of the demo's pictures hides magenta behind its round corners, to be found here.
    assert "11_square.png hides #ff00c8" in found["report"]
    assert found["counts"]["error"] == 1


def test_found_mended_and_undone(comfy_server: ComfyServer, rotten: Path) -> None:
    before = tree(rotten)
    folder = {"folder": "input/kiln_rotten", "resolution": 256}
    found = run(comfy_server, **folder)
    assert found["counts"]["error"] == 6
    assert tree(rotten) == before
    changes = {"fix": "safe fixes and these rules", "fix_rules": "shared-name"}
    found = run(comfy_server, **folder, **changes)
    assert found["counts"]["error"] == 0, found["report"]
    assert (rotten / "image123.txt").read_bytes() == before["imag123.txt"]
    fix_id = found["report"].partition("undo ")[2].partition(".")[0]
    assert "Took back" in run(comfy_server, **folder, undo=fix_id)["report"]
    assert tree(rotten) == before
