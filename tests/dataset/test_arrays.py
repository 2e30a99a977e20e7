"""Images from the graph."""

from __future__ import annotations

import pytest
import torch

from lora_kiln.core.errors import ConfigError, DatasetError
from lora_kiln.dataset.arrays import dataset_from_images
from lora_kiln.dataset.decode import decode


def test_batches_of_different_sizes() -> None:
    ramp = torch.arange(256).reshape(1, 16, 16, 1).expand(1, 16, 16, 3) / 255
    dataset = dataset_from_images([ramp, torch.rand(2, 8, 4, 4)], subject=" cat ", name="set")
    assert [item.name for item in dataset.items] == ["set_001", "set_002", "set_003"]
    assert {item.subject for item in dataset.items} == {"cat"}
    first = decode(dataset.items[0].source, "white").image
    assert list(first.getchannel("R").tobytes()) == list(range(256))
    assert dataset.items[2].source.sha256 != dataset.items[1].source.sha256


@pytest.mark.parametrize(
    ("captions", "expected"),
    [
        ([], [None, None]),
        ([""], [None, None]),
        (["for all\n"], ["for all", "for all"]),
        (["one\n two "], ["one", "two"]),
        (["one", "two"], ["one", "two"]),
        (["one", ""], ["one", None]),
    ],
)
def test_one_caption_for_all_or_one_for_each(
    captions: list[str], expected: list[str | None]
) -> None:
    dataset = dataset_from_images([torch.zeros(2, 4, 4, 3)], captions)
    assert [item.caption for item in dataset.items] == expected


def test_what_is_no_image_is_refused() -> None:
    image = torch.zeros(2, 4, 4, 3)
    with pytest.raises(DatasetError, match="3 captions for 2 images"):
        dataset_from_images([image], ["a\nb\nc"])
    with pytest.raises(DatasetError, match="shape"):
        dataset_from_images([image[..., 0]])
    with pytest.raises(DatasetError, match="not numbers"):
        dataset_from_images([image / 0])
    with pytest.raises(DatasetError, match="No image"):
        dataset_from_images([])


def test_transparency_gets_the_chosen_colour_and_is_reported() -> None:
    clear, solid = torch.ones(1, 4, 4, 4), torch.ones(1, 4, 4, 4)
    clear[0, 0, 0] = 0
    dataset = dataset_from_images([clear, solid], background="#ff0000")
    assert dataset.notes == ("Transparent parts were put on #ff0000: images_001.",)
    assert decode(dataset.items[0].source, dataset.background).image.getpixel((0, 0)) == (255, 0, 0)
    assert dataset_from_images([solid]).notes == ()
    with pytest.raises(ConfigError, match="'reddish'"):
        dataset_from_images([clear], background="reddish")
