"""Texts come with a request: whatever their names are, pictures can be written."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from lora_kiln.sweep.file_settings import SweepFileSettings
from lora_kiln.sweep.picture_format import picture_formats
from lora_kiln.tests.host.test_sweep_files import ran, small_plan

ODD = ("../../escaped", "ключ", "", "x" * 80, "a\0b", "extra_pnginfo", "a.b")


def texts_of(comfy: Path, names: Any) -> dict[str, str]:
    del comfy
    given = {name: {"of": name} for name in ("workflow", *names)}
    hidden = SimpleNamespace(prompt={"1": {}}, extra_pnginfo=given)
    found: dict[str, str] = importlib.import_module("lora_kiln.nodes.texts").workflow_texts(
        SimpleNamespace(hidden=hidden)
    )
    return found


def test_names_that_are_none_stand_together(comfy: Path, tmp_path: Path) -> None:
    texts = texts_of(comfy, ODD)
    assert set(texts) == {"prompt", "workflow", "extra_pnginfo"}
    assert set(json.loads(texts["extra_pnginfo"])) == set(ODD)
    assert set(texts_of(comfy, ())) == {"prompt", "workflow"}
    for name, form in picture_formats().items():
        path = tmp_path / f"{name}{form.suffix}"
        form.write(path, Image.new("RGB", (8, 8)), texts, 90)
        with Image.open(path) as picture:
            picture.load()
    with Image.open(tmp_path / "png.png") as picture:
        assert json.loads(picture.info["extra_pnginfo"])["ключ"] == {"of": "ключ"}


def test_no_text_is_written_outside_of_the_sweeps_folder(comfy: Path) -> None:
    """WebP holds seven texts: what has no room lies beside the pictures, as a file."""
    from lora_kiln.host.paths import PathError
    from lora_kiln.host.sweep_files import finish

    output = comfy / "output"
    outside = {path for path in output.rglob("*.json") if path.parent.parent.name != "sweeps"}
    settings = SweepFileSettings(picture_format="webp", diff_view=False, strip_axis="none")
    plan = small_plan()
    many = {f"text {n}": "x" * n for n in range(9)}
    made: Any = ran(plan)
    result = finish(
        made, plan, title="t", prefix="names", settings=settings,
        texts=texts_of(comfy, (*many, "../../escaped")),
    )
    beside = {path.stem for path in result.folder.glob("*.json")} - {"table"}
    assert beside
    assert beside <= {*many, "extra_pnginfo"}
    with pytest.raises(PathError):
        finish(
            ran(plan), plan, title="t", prefix="names", settings=settings,  # type: ignore[arg-type]
            texts={**many, "../../escaped": "y" * 99},
        )
    assert {p for p in output.rglob("*.json") if p.parent.parent.name != "sweeps"} == outside
