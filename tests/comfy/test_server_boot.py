"""A real server starts with the pack linked in, runs a prompt, and comes back after a kill."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lora_kiln.devtools.comfy_client import PromptFailed, ServerGone
from lora_kiln.devtools.comfy_server import PACK_FOLDER, ComfyServer, ServerDied

if TYPE_CHECKING:
    from pathlib import Path

PICTURE = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 255},
    },
    "2": {
        "class_type": "SaveImage",
        "inputs": {"images": ["1", 0], "filename_prefix": "boot"},
    },
}


def test_lists_core_nodes_and_loads_the_pack(comfy_server: ComfyServer) -> None:
    assert "KSampler" in comfy_server.client().object_info()
    assert PACK_FOLDER in comfy_server.log()
    # An error in comfy_entrypoint is only a warning to ComfyUI, and all our nodes are gone.
    assert "IMPORT FAILED" not in comfy_server.log()
    assert "Error while calling comfy_entrypoint" not in comfy_server.log()


def test_runs_a_prompt_and_serves_its_picture(comfy_server: ComfyServer) -> None:
    client = comfy_server.client()
    seen: list[str] = []
    history = client.run(PICTURE, on_event=lambda event: seen.append(event["type"]))
    (image,) = history["outputs"]["2"]["images"]
    assert client.view(**image).startswith(b"\x89PNG")
    assert (comfy_server.base / "output" / image["filename"]).is_file()
    assert {"executing", "executed", "execution_success"} <= set(seen)


def test_a_refused_prompt_says_why(comfy_server: ComfyServer) -> None:
    broken = {**PICTURE, "1": {"class_type": "EmptyImage", "inputs": {"width": 16}}}
    with pytest.raises(PromptFailed, match="Required input is missing: height") as caught:
        comfy_server.client().run(broken)
    assert caught.value.kind == "validation"


def test_upload_lands_in_the_temporary_input(comfy_server: ComfyServer, tmp_path: Path) -> None:
    client = comfy_server.client()
    image = client.run(PICTURE)["outputs"]["2"]["images"][0]
    file = tmp_path / "plate.png"
    file.write_bytes(client.view(**image))
    answer = client.upload(file, subfolder="plates")
    assert (comfy_server.base / "input" / "plates" / answer["name"]).is_file()


@pytest.mark.server
@pytest.mark.slow
def test_a_killed_server_comes_back_on_the_same_base_directory(tmp_path: Path) -> None:
    with ComfyServer(tmp_path, threads=1, device="cpu") as server:
        first = server.pid
        server.client().run(PICTURE)
        server.kill()
        assert not server.alive
        with pytest.raises((ServerGone, OSError)):
            server.client().run(PICTURE)
        server.restart()
        assert server.pid != first
        assert list((server.base / "output").glob("boot_*.png"))
    assert tmp_path.is_dir()


@pytest.mark.server
def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    server = ComfyServer(tmp_path, device="cpu", arguments=["--no-such-flag"])
    with pytest.raises(ServerDied, match="no-such-flag"):
        server.start()
    server.close()
