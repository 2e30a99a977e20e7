"""The plan of training sizes, and its pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lora_kiln.core.errors import DatasetError
from lora_kiln.dataset.bucket_plan import describe_plan, plan_buckets
from lora_kiln.dataset.bucket_settings import BucketChoices
from lora_kiln.dataset.bucket_sheet import PAGE_PX, draw_bucket_pages, draw_loss
from lora_kiln.dataset.focus import focus_of
from lora_kiln.dataset.items import REGULARISATION, VALIDATION, Dataset
from lora_kiln.dataset.scan import scan_folder

BLUE = (20, 40, 200)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    sizes = {"a": (600, 600), "b": (600, 600), "long": (2000, 300), "c": (900, 700)}
    for name, size in sizes.items():
        Image.new("RGB", size, BLUE).save(tmp_path / f"{name}.png")
    return scan_folder(tmp_path, name="test")


def test_a_plan_counts_and_names(dataset: Dataset) -> None:
    held = replace(dataset.items[0], name="held.png", role=VALIDATION)
    dataset = replace(dataset, items=(*dataset.items, held))
    plan = plan_buckets(dataset, BucketChoices().at(512), batch_size=2)
    assert plan.histogram() == {(512, 512): 2, (576, 448): 1, (1024, 256): 1}
    assert plan.too_few() == {(576, 448): 1, (1024, 256): 1}
    assert plan.by_loss()[0].item.name == "long.png"
    text = describe_plan(plan)
    assert "4 pictures in 3 sizes" in text and "at most 40.0% (long.png)" in text
    assert "2 sizes have fewer pictures than a batch of 2" in text
    assert "held" not in text


def test_a_small_picture_is_there_once_for_two_resolutions(dataset: Dataset) -> None:
    plan = plan_buckets(dataset, BucketChoices(more_resolutions="1024").at(512))
    assert [v.item.name for v in plan.views] == [
        "a.png", "a.png", "b.png", "b.png", "c.png", "c.png", "long.png"
    ]
    alone = plan_buckets(dataset, BucketChoices().at(2048))
    twice = plan_buckets(dataset, BucketChoices(more_resolutions="1536").at(2048))
    assert [v.item.name for v in alone.views] == [v.item.name for v in twice.views]


def test_what_is_cut_off_is_tinted_and_the_rest_is_not(dataset: Dataset) -> None:
    plan = plan_buckets(dataset, BucketChoices().at(512))
    worst = plan.by_loss()[0]
    small = np.asarray(draw_loss(worst, "white", (400, 400))).astype(int)
    blue = (np.abs(small - BLUE).max(axis=2) <= 2).all(axis=0)
    kept = np.abs(small[small.shape[0] // 2] - BLUE).max(axis=1) <= 2
    assert kept.mean() == pytest.approx(1 - worst.placement.area_lost_fraction, abs=0.02)
    assert not blue[:70].any() and kept[200]


def test_pages_are_of_one_size_and_bounded(dataset: Dataset) -> None:
    many = replace(
        dataset,
        items=tuple(replace(i, name=f"{n}-{i.name}") for n in range(100) for i in dataset.items),
    )
    pages = list(draw_bucket_pages(plan_buckets(many, BucketChoices().at(512)), "white"))
    assert {page.size for page in pages} == {PAGE_PX} and len(pages) == 13


def test_a_focus_comes_from_the_metadata(dataset: Dataset) -> None:
    item = dataset.items[0]
    assert focus_of(item) == (0.5, 0.5)
    for text in ("0.25 0.75", "25%, 75%"):
        assert focus_of(replace(item, columns={"focus": text})) == (0.25, 0.75)
    for text in ("0.5", "a b", "1.5 0", "nan 0", "1 1 1"):
        with pytest.raises(DatasetError, match=r"The focus of a\.png"):
            focus_of(replace(item, columns={"focus": text}))
    left = [replace(i, columns={"focus": "0 0.5"}) for i in dataset.items]
    plan = plan_buckets(replace(dataset, items=tuple(left)), BucketChoices().at(512))
    assert {view.placement.crop_left for view in plan.views} == {0}


def test_a_batch_is_filled_by_repeats_and_regularisation(dataset: Dataset) -> None:
    a, b, c, long = dataset.items
    several = replace(c, repeats=3.0)
    held_in = replace(b, name="reg.png", role=REGULARISATION)
    made = replace(dataset, items=(a, several, long, held_in))
    plan = plan_buckets(made, BucketChoices().at(512), batch_size=2)
    assert plan.histogram() == {(512, 512): 2, (576, 448): 1, (1024, 256): 1}
    assert plan.too_few() == {(1024, 256): 1}
