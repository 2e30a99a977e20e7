"""What the registry and ``pip install -r`` read says the same, and breaks nobody's ComfyUI."""

from __future__ import annotations

import re
from pathlib import Path

from lora_kiln.devtools.load_pack import ROOT

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def names_and_bounds(lines: list[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        match = re.fullmatch(r"([a-z-]+)>=([\d.]+)", line.split("#")[0].strip())
        if line.split("#")[0].strip():
            assert match, f"{line!r} is not a plain lower bound"
            found[match[1]] = match[2]
    return found


def requirements() -> dict[str, str]:
    return names_and_bounds((ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines())


def test_requirements_have_lower_bounds_only_and_leave_torch_alone() -> None:
    assert not {"torch", "torchvision", "torchaudio", "numpy", "transformers"} & set(requirements())


def test_the_registry_declares_the_same_bounds() -> None:
    block = re.search(r"^dependencies = \[(.*?)^\]", PYPROJECT, re.MULTILINE | re.DOTALL)
    assert block
    declared = names_and_bounds(re.findall(r'"([^"]+)"', block[1]))
    assert {"peft", "diffusers", "accelerate", "matplotlib"} == set(declared)
    assert declared.items() <= requirements().items()


def test_the_registrys_fields_have_the_forms_it_accepts() -> None:
    fields = dict(re.findall(r'^([\w-]+) = "(.*)"$', PYPROJECT, re.MULTILINE))
    assert "comfyui" not in fields["name"].lower()
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"])
    assert re.fullmatch(r">=\d+\.\d+\.\d+", fields["requires-comfyui"])
    assert re.fullmatch(r"[a-z0-9-]+", fields["PublisherId"])


def test_the_archive_keeps_what_people_use() -> None:
    lines = (ROOT / ".comfyignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    # Tied to the root: a bare "docs/" or "tests/" would match at any depth.
    assert all(pattern.startswith("/") for pattern in patterns)
    kept = ("web/dist", "web/docs", "demo", "example_workflows", "README.md", "LICENSE")
    for name in kept:
        assert not any(Path("/", name).is_relative_to(p.rstrip("/")) for p in patterns), name
