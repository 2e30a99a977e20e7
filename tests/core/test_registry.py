"""Adding a thing is adding one file, and a name belongs to one file."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_kiln.core.registry import declared_objects


@pytest.fixture
def package_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path; packages made in it are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("kiln_registry_")]:
        del sys.modules[name]


def make(root: Path, package: str, files: dict[str, str]) -> None:
    folder = root / package
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    importlib.invalidate_caches()


DECLARES = "class T:\n    name = {name!r}\nTHING = T()\n"


def test_objects_by_name_and_helpers_left_out(package_root: Path) -> None:
    files = {"b": DECLARES.format(name="one"), "a": DECLARES.format(name="two"), "help": "x = 1"}
    make(package_root, "kiln_registry_good", files)
    package = importlib.import_module("kiln_registry_good")
    found = declared_objects(package, "THING")
    assert list(found) == ["one", "two"]
    assert found["two"].name == "two"
    found.clear()
    assert list(declared_objects(package, "THING")) == ["one", "two"]
    assert declared_objects(package, "OTHER") == {}


def test_a_name_declared_twice_raises_and_names_both_files(package_root: Path) -> None:
    files = {"a": DECLARES.format(name="same"), "b": DECLARES.format(name="same")}
    make(package_root, "kiln_registry_twice", files)
    package = importlib.import_module("kiln_registry_twice")
    with pytest.raises(RuntimeError, match=r"'same' is declared twice.*twice\.a.*twice\.b"):
        declared_objects(package, "THING")


def test_the_packs_own_registries() -> None:
    from lora_kiln.lora_format.family import families
    from lora_kiln.sweep.axis import axes
    from lora_kiln.trainer.objective import objective_for

    assert "sdxl" in families()
    assert {"strength", "cfg"} <= set(axes())
    assert objective_for("eps").name == "eps"
