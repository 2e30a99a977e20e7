"""Repeats and roles on the way into a LoRA: what is shown, what counts, what is held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

Train = Callable[..., Any]


def with_roles(pictures: Any, *rows: tuple[str, float, float]) -> Any:
    """The pictures with a role, repeats and a weight each."""
    items = tuple(
        replace(item, role=role, repeats=repeats, weight=weight)
        for item, (role, repeats, weight) in zip(pictures.items, rows, strict=True)
    )
    return replace(pictures, items=items)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts which pictures every step was given."""
    from lora_kiln.trainer.step import StepRunner

    counted: Counter[str] = Counter()
    backward = StepRunner.backward

    def counting(self: Any, batches: Any, *args: Any) -> float:
        counted.update(
            self.views[sample.item][0].item.name for batch in batches for sample in batch
        )
        return backward(self, batches, *args)

    monkeypatch.setattr(StepRunner, "backward", counting)
    return counted


def test_repeats_and_balance_decide_what_is_shown(
    train: Train, pictures: Any, shown: Counter[str], host: Any
) -> None:
    dataset = with_roles(
        pictures,
        ("train", 3, 1.0), ("regularisation", 1, 1.0), ("validation", 9, 1.0), ("train", 1, 1.0),
    )  # fmt: skip
    outcome = train(dataset=dataset, steps=8, batch_size=1)
    # A round: the first three times, the last once, and the regularisation picture four times.
    assert shown == {"0.png": 3, "1.png": 4, "3.png": 1}
    document = outcome.run.document()
    assert sorted(document["captions"]) == ["0.png", "1.png", "3.png"]
    assert "1 pictures are held out and not trained on: 2.png." in document["notes"]
    assert any("1 regularisation pictures are shown 4 times" in note for note in host.said)
    with safe_open(outcome.result.lora.path, "pt") as file:
        told = file.metadata()
    assert (told["ss_num_train_images"], told["ss_num_reg_images"]) == ("2", "1")


def test_held_out_pictures_change_nothing(train: Train, pictures: Any) -> None:
    rows = [("train", 1.0, 1.0)] * 3
    with_one = with_roles(pictures, *rows, ("validation", 5.0, 3.0))
    without = replace(with_one, items=with_one.items[:3])
    first = train(dataset=with_one, steps=2)
    again = train(dataset=without, steps=2)
    assert (again.run.name, again.result.trained_steps) == (first.run.name, 0)


def test_the_weight_of_regularisation_counts(train: Train, pictures: Any) -> None:
    def lora(weight: float) -> dict[str, torch.Tensor]:
        rows = [("train", 1.0, 1.0)] * 3
        dataset = with_roles(pictures, *rows, ("regularisation", 1.0, weight))
        return load_file(train(dataset=dataset, steps=2).result.lora.path)

    whole, half = lora(1.0), lora(0.5)
    assert any(not torch.equal(value, half[name]) for name, value in whole.items())


def test_previews_and_the_probe_look_at_what_is_learned(train: Train, pictures: Any) -> None:
    rows = [("regularisation", 1.0, 1.0), *[("train", 1.0, 1.0)] * 3]
    first = train(dataset=with_roles(pictures, *rows), steps=1)
    items = pictures.items
    others = (replace(items[0], caption="something else"), *items[1:])
    other = train(dataset=with_roles(replace(pictures, items=others), *rows), steps=1)
    assert other.run.name != first.run.name
    assert other.result.probe_start == first.result.probe_start


def test_a_dataset_with_bad_files_is_refused(train: Train, pictures: Any, host: Any) -> None:
    from lora_kiln.core.errors import DatasetError
    from lora_kiln.dataset.items import Fault

    error = DatasetError("x.png cannot be decoded", expected="a picture", remedy="copy it again")
    dataset = replace(pictures, faults=(Fault(pictures.origins[0], "x.png", error),))
    with pytest.raises(DatasetError, match=r"'pictures' has an error: x\.png cannot be decoded"):
        train(dataset=dataset)
    assert host.written() == []
    assert train(dataset=dataset, also={"dataset_errors": "train anyway"}, steps=1).run.finished
