"""The committed page code is what its sources build to, and nothing else is served as code."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "web" / "dist" / "kiln.js"
PROGRAMS = ROOT / "node_modules" / ".bin"


def test_the_build_is_current(tmp_path: Path) -> None:
    esbuild = shutil.which("esbuild", path=str(PROGRAMS))
    if esbuild is None or shutil.which("node") is None:
        pytest.skip("Only who changes web/src needs a build: install Node.js 20 and run `npm ci`")
    command = json.loads((ROOT / "package.json").read_text("utf-8"))["scripts"]["build"]
    words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', command)]
    again = tmp_path / "kiln.js"
    given = [word for word in words[1:] if not word.startswith("--outfile")]
    subprocess.run(
        [esbuild, *given, f"--outfile={again}", "--log-level=error"],
        cwd=ROOT, check=True, timeout=60,
    )  # fmt: skip
    assert again.read_text("utf-8") == BUILT.read_text("utf-8"), "run: npm run build"


def test_comfyui_imports_the_build_alone() -> None:
    # It imports every .js file below the web directory.
    assert list((ROOT / "web").rglob("*.js")) == [BUILT]
    imports = re.findall(r'^import .* from "(.*)";$', BUILT.read_text("utf-8"), re.MULTILINE)
    assert set(imports) == {"../../../scripts/api.js", "../../../scripts/app.js"}


def test_texts_are_never_markup() -> None:
    # Labels hold what anybody typed into a prompt, or named a file.
    banned = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(")
    assert banned.findall(BUILT.read_text("utf-8")) == []


def test_the_lock_names_no_host() -> None:
    # Whoever installs has a registry of their own; the checksums hold for all of them.
    assert "http" not in (ROOT / "package-lock.json").read_text("utf-8")
