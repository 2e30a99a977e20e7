"""Which ComfyUI is used, and with which Python."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lora_kiln.devtools import comfy_host
from lora_kiln.devtools.processes import SetupError


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COMFYUI_PATH", "COMFYUI_PYTHON", "KILN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


def make_comfyui(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "main.py").touch()
    (folder / "comfyui_version.py").touch()
    return folder


def make_file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_the_named_install_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    around, named = make_comfyui(tmp_path / "around"), make_comfyui(tmp_path / "named")
    pack = around / "custom_nodes" / "pack"
    assert comfy_host.locate_own_install(pack) == around
    monkeypatch.setenv("COMFYUI_PATH", str(named))
    assert comfy_host.locate_own_install(pack) == named


def test_a_wrong_name_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    with pytest.raises(SetupError, match=r"no main\.py .* Correct the variable"):
        comfy_host.locate_own_install()


@pytest.mark.parametrize("parent", ["somewhere", "custom_nodes"])
def test_a_pack_elsewhere_has_no_install(tmp_path: Path, parent: str) -> None:
    assert comfy_host.locate_own_install(tmp_path / parent / "pack") is None


@pytest.mark.parametrize(
    "relative",
    [".venv/bin/python", "venv/bin/python", "../python_embeded/python.exe"],
)
def test_the_installs_own_python_is_found(tmp_path: Path, relative: str) -> None:
    install = make_comfyui(tmp_path / "ComfyUI")
    python = make_file((install / relative).resolve())
    assert comfy_host.python_of(install) == python


def test_the_named_python_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install = make_comfyui(tmp_path / "ComfyUI")
    make_file(install / "venv/bin/python")
    monkeypatch.setenv("COMFYUI_PYTHON", sys.executable)
    assert comfy_host.python_of(install) == Path(sys.executable)
    monkeypatch.setenv("COMFYUI_PYTHON", str(tmp_path / "gone"))
    with pytest.raises(SetupError, match="is no file"):
        comfy_host.python_of(install)


def test_an_install_without_python_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="Set COMFYUI_PYTHON"):
        comfy_host.python_of(make_comfyui(tmp_path / "deep" / "ComfyUI"))


def test_the_cache_folder_follows_the_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert comfy_host.cache_folder() == tmp_path / ".cache" / "lora-kiln"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert comfy_host.cache_folder() == tmp_path / "xdg" / "lora-kiln"
    monkeypatch.setenv("KILN_CACHE", str(tmp_path / "kiln"))
    assert comfy_host.cache_folder() == tmp_path / "kiln"


def test_without_any_host_the_remedy_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KILN_CACHE", str(tmp_path))
    monkeypatch.setattr(comfy_host, "locate_own_install", lambda: None)
    with pytest.raises(SetupError, match=r"setup_env\.py"):
        comfy_host.locate_comfyui()
    cached = make_comfyui(tmp_path / f"comfyui-{comfy_host.COMFYUI_VERSION}")
    found = comfy_host.locate_comfyui()
    assert found == comfy_host.HostPaths(cached, Path(sys.executable), owned=True)
