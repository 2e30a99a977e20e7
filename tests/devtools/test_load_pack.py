"""The pack is a package of its own, and its rooms are not on anybody's path."""

from __future__ import annotations

import sys
from pathlib import Path

import lora_kiln
from lora_kiln.devtools.load_pack import ROOT, load_pack


def test_loading_twice_gives_the_same_module() -> None:
    assert load_pack() is lora_kiln


def test_the_root_is_not_on_the_path() -> None:
    assert all(Path(entry or ".").resolve() != ROOT for entry in sys.path if entry)
    assert "" not in sys.path


def test_comfyui_keeps_its_own_nodes(comfy: Path) -> None:
    import nodes

    assert nodes.__file__ is not None
    assert Path(nodes.__file__).resolve().parent != ROOT / "nodes"
    assert hasattr(nodes, "KSampler")
    assert comfy.is_dir()


def test_comfyui_uses_the_temporary_folders(comfy: Path) -> None:
    import folder_paths

    assert Path(folder_paths.get_output_directory()).is_relative_to(comfy)
    assert all(Path(f).is_relative_to(comfy) for f in folder_paths.get_folder_paths("loras"))
