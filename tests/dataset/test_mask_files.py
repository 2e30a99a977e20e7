"""Masks as people keep them beside their pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lora_kiln.core.errors import ConfigError, DatasetError
from lora_kiln.dataset.fault_book import without_faults
from lora_kiln.dataset.items import Dataset, PictureAlpha, PictureFile
from lora_kiln.dataset.mask_files import masked_stem
from lora_kiln.dataset.scan import listed_files, scan_folder
from lora_kiln.dataset.summary import describe

Gradient = Callable[..., Image.Image]


def write_mask(path: Path, size: tuple[int, int] = (160, 128), value: int = 255) -> Path:
    """A mask whose left half is of this value."""
    mask = Image.new("L", size)
    mask.paste(value, (0, 0, size[0] // 2, size[1]))
    path.parent.mkdir(parents=True, exist_ok=True)
    mask.save(path)
    return path


def scan(folder: Path, masks: str = "files", *, recursive: bool = True) -> Dataset:
    return scan_folder(folder, name="x", masks=masks, recursive=recursive)


def masks_of(dataset: Dataset) -> dict[str, str | None]:
    return {item.name: item.mask.name if item.mask else None for item in dataset.items}


@pytest.mark.parametrize(
    ("file", "picture"),
    [
        ("a2-masklabel.png", "a2.png"),
        ("a2-MaskLabel.jpg", "a2.png"),
        ("mask/a2.png", "a2.png"),
        ("masks/a2.webp", "a2.png"),
        ("Mask/a2-masklabel.png", "a2.png"),
        ("woman/mask/a9.png", "woman/a9.png"),
        ("masks/woman/a9.jpg", "woman/a9.png"),
        ("woman/a10-masklabel.png", "woman/a10.png"),
    ],
)
def test_every_convention(folder: Path, file: str, picture: str) -> None:
    write_mask(folder / file)
    before = masks_of(scan(folder, "off"))
    assert before == {"a2.png": None, "woman/a9.png": None, "woman/a10.png": None}
    dataset = scan(folder)
    assert masks_of(dataset) == {**before, picture: file}
    assert isinstance(dataset.items[0].source, PictureFile)
    (note,) = dataset.notes
    assert "2 of 3 pictures have no mask and are trained on whole" in note
    assert "3 with a caption, 1 with a mask." in describe(dataset)
    assert folder / file in listed_files(folder)


def test_names_that_are_no_masks() -> None:
    for name in ("a.png", "woman/a.png", "masked/a.png", "a-mask.png", "mask.png", "masklabel.png"):
        assert masked_stem(name) is None, name
    # Decomposed, as macOS writes it.
    assert masked_stem("mask/u\u0308.png") == "\u00fc"


def test_masks_in_a_folder_are_found_without_subfolders(folder: Path) -> None:
    write_mask(folder / "mask" / "a2.png")
    assert masks_of(scan(folder, recursive=False)) == {"a2.png": "mask/a2.png"}
    assert folder / "mask" / "a2.png" in listed_files(folder, recursive=False)


@pytest.mark.parametrize("mode", ["off", "alpha"])
def test_files_that_are_not_used_are_told(folder: Path, gradient: Gradient, mode: str) -> None:
    gradient(64, 64).convert("RGBA").rotate(30).save(folder / "see.png")
    before = scan(folder, mode)
    write_mask(folder / "a2-masklabel.png")
    dataset = scan(folder, mode)
    assert len(dataset) == len(before) == 4
    assert dataset.fingerprint == before.fingerprint
    assert f"1 mask files are not used: masks is {mode}: a2-masklabel.png." in dataset.notes


def test_masks_without_a_picture_are_told(folder: Path) -> None:
    for name in ("a2", "a3", "gone"):
        write_mask(folder / "mask" / f"{name}.png")
    dataset = scan(folder)
    assert "2 mask files have no picture: mask/a3.png, mask/gone.png." in dataset.notes
    assert len(dataset) == 3


def test_two_masks_of_one_picture(folder: Path) -> None:
    write_mask(folder / "mask" / "a2.png")
    write_mask(folder / "a2-masklabel.png")
    with pytest.raises(DatasetError, match=r"a2\.png has 2 masks: a2-masklabel\.png, mask/a2\.png"):
        scan(folder)
    assert len(scan(folder, "off")) == 3


def test_a_mask_of_another_size(folder: Path) -> None:
    path = write_mask(folder / "mask" / "a2.png", (80, 64))
    wanted = r"mask/a2\.png is 80 x 64 pixels, and its picture a2\.png is 160 x 128"
    with pytest.raises(DatasetError, match=wanted + ".*as large as.*uncut and unscaled"):
        scan(folder)
    write_mask(path, (128, 160))
    with pytest.raises(DatasetError, match=r"128 x 160 .* is 160 x 128.*Turn it"):
        scan(folder)


def test_exif_turns_picture_and_mask_each_by_its_own(folder: Path, gradient: Gradient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    gradient(160, 128).save(folder / "a2.png", exif=exif)
    write_mask(folder / "a2-masklabel.png", (128, 160))
    assert scan(folder).items[0].mask is not None
    Image.open(write_mask(folder / "a2-masklabel.png")).save(
        folder / "a2-masklabel.png", exif=exif
    )
    assert scan(folder).items[0].mask is not None
    write_mask(folder / "a2-masklabel.png")
    with pytest.raises(DatasetError, match="EXIF data may turn one and not the other"):
        scan(folder)


def test_masks_that_are_black_or_damaged(folder: Path) -> None:
    path = write_mask(folder / "a2-masklabel.png", value=0)
    with pytest.raises(DatasetError, match=r"a2-masklabel\.png is black everywhere.*all of a2"):
        scan(folder)
    write_mask(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DatasetError, match=r"a2-masklabel\.png cannot be decoded"):
        scan(folder)


def test_alpha(folder: Path, gradient: Gradient) -> None:
    see_through = gradient(160, 128).convert("RGBA")
    see_through.putalpha(Image.linear_gradient("L").resize((160, 128)))
    see_through.save(folder / "a2.png")
    dataset = scan(folder, "alpha")
    assert [type(item.mask) for item in dataset.items] == [PictureAlpha, type(None), type(None)]
    assert masks_of(dataset)["a2.png"] == "the alpha channel of a2.png"
    assert any("2 of 3 pictures have no mask" in note for note in dataset.notes)
    assert scan(folder, "off").fingerprint != dataset.fingerprint
    # The same file as a grey mask of itself is another mask.
    grey = dataclasses.replace(dataset.items[0], mask=dataset.items[0].source)
    assert dataclasses.replace(dataset, items=(grey, *dataset.items[1:])).fingerprint not in (
        scan(folder, "off").fingerprint,
        dataset.fingerprint,
    )


def test_masks_that_were_asked_for_and_are_not_there(folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"none of the 3 pictures has a mask\. .*masklabel"):
        scan(folder)
    write_mask(folder / "mask" / "other.png")
    with pytest.raises(DatasetError, match=r"has a mask; there are mask/other\.png"):
        scan(folder)
    with pytest.raises(DatasetError, match="none of the 3 pictures has a transparent part"):
        scan(folder, "alpha")
    with pytest.raises(ConfigError, match=r"masks is 'white'.*off, files, alpha"):
        scan(folder, "white")


def test_a_folder_of_nothing_but_masks(tmp_path: Path) -> None:
    write_mask(tmp_path / "masks" / "venice.png")
    with pytest.raises(DatasetError, match=r"but 1 masks: masks/venice\.png.*rename the folder"):
        scan(tmp_path, "off")
    assert len(scan(tmp_path / "masks", "off")) == 1


def test_the_fingerprint_hears_of_masks(folder: Path) -> None:
    plain = scan(folder, "off").fingerprint
    path = write_mask(folder / "a2-masklabel.png")
    one = scan(folder).fingerprint
    write_mask(path, value=128)
    assert len({plain, one, scan(folder).fingerprint}) == 3
    (folder / "mask").mkdir()
    path.rename(folder / "mask" / "a2.png")
    write_mask(folder / "mask" / "a2.png")
    assert scan(folder).fingerprint == one
    assert np.asarray(Image.open(folder / "mask" / "a2.png")).max() == 255


def test_who_trains_anyway_trains_on_no_picture_without_its_mask(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.new("RGB", (300, 300), "red").save(tmp_path / f"{name}.png")
        Image.new("L", (300, 300), 255).save(tmp_path / f"{name}-masklabel.png")
    (tmp_path / "b-masklabel.png").write_bytes(b"no")
    (tmp_path / "c.png").write_bytes(b"no")
    dataset = scan_folder(tmp_path, name="x", masks="files", lenient=True)
    assert [item.name for item in dataset.items] == ["a.png", "b.png"]
    assert {fault.file for fault in dataset.faults} == {"b-masklabel.png", "c.png"}
    left = without_faults(dataset)
    assert ([item.name for item in left.items], left.faults) == (["a.png"], ())
