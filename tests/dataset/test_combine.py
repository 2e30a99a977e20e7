"""Several datasets as one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lora_kiln.core.errors import ConfigError
from lora_kiln.dataset.combine import Part, combine
from lora_kiln.dataset.items import Dataset, DatasetItem, PictureArray
from lora_kiln.dataset.scan import scan_folder


def dataset(name: str, *names: str, background: str = "white", role: str = "train") -> Dataset:
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    items = tuple(
        DatasetItem(one, PictureArray(one, pixels), f"{name} {one}", role=role, repeats=2.0)
        for one in names
    )
    return Dataset(items, name, background, notes=(f"note of {name}",))


def test_order_names_repeats_weights_and_roles() -> None:
    whole = combine(
        [
            Part(dataset=dataset("one", "a", "b")),
            Part(dataset=dataset("two", "a", "c"), repeats=5.0, weight=0.5, role="regularisation"),
            Part(dataset=dataset("one", "a"), role="validation"),
        ],
        "all",
    )
    rows = [(it.name, it.repeats, it.weight, it.role) for it in whole.items]
    assert rows == [
        ("one/a", 2.0, 1.0, "train"),
        ("b", 2.0, 1.0, "train"),
        ("two/a", 10.0, 0.5, "regularisation"),
        ("c", 10.0, 0.5, "regularisation"),
        ("one/a (2)", 2.0, 1.0, "validation"),
    ]
    assert (whole.name, whole.notes[:2]) == ("all", ("one: note of one", "two: note of two"))


def test_one_alone_stays_what_it_is() -> None:
    one = dataset("one", "a", role="validation")
    whole = combine([Part(dataset=one)], "one")
    assert whole == one
    assert whole.fingerprint == one.fingerprint


def test_backgrounds_that_differ_are_told() -> None:
    parts = [
        Part(dataset=dataset("a", "x")),
        Part(dataset=dataset("b", "y", background="#FFFFFF")),
        Part(dataset=dataset("c", "z", background="black")),
    ]
    whole = combine(parts, "all")
    assert whole.background == "white"
    assert "background of the first dataset, white, also in c." in whole.notes[-1]


def test_origins_and_faults_are_kept_once(
    folder: Path, gradient: Callable[..., Image.Image]
) -> None:
    (folder / "bad.png").write_bytes(b"no")
    first = scan_folder(folder, name="input/plates", lenient=True)
    again = scan_folder(folder, name="input/plates", lenient=True)
    whole = combine([Part(dataset=first), Part(dataset=again, role="regularisation")], "all")
    assert (len(whole), len(whole.origins)) == (6, 1)
    assert [fault.file for fault in whole.faults] == ["bad.png"]
    assert "3 pictures are in several of the datasets" in whole.notes[-1]
    assert whole.items[3].name == "input/plates/a2.png (2)"
    assert whole.items[3].file == "a2.png"


@pytest.mark.parametrize(
    "wrong", [{"repeats": 0.0}, {"repeats": float("nan")}, {"weight": -1.0}, {"role": "test"}]
)
def test_settings_have_limits(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Part(dataset=dataset("a", "x"), **wrong)  # type: ignore[arg-type]
