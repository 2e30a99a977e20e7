"""Rules about pixels: each picture decoded once, and what is seen in it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageEnhance

from lora_kiln.dataset.arrays import dataset_from_images
from lora_kiln.dataset.decode import decode
from lora_kiln.dataset.items import VALIDATION, Dataset, DatasetItem
from lora_kiln.dataset.lint.context import LintContext
from lora_kiln.dataset.lint.finding import Finding
from lora_kiln.dataset.lint.looks import PictureLook, PictureLooks, picture_look
from lora_kiln.dataset.lint.mend import lint_and_mend
from lora_kiln.dataset.lint.rule import rules
from lora_kiln.dataset.lint.run import lint
from lora_kiln.tests.dataset.rotten import (
    Silent,
    clouds,
    context_of,
    found,
    read,
    see_through,
    tree,
    with_ball,
    write,
)


def save(root: Path, name: str, image: Image.Image, caption: str = "x", **options: object) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)  # type: ignore[arg-type]
    write(path.with_suffix(".txt"), caption)
    return path


def findings(dataset: Dataset, rule: str, **settings: object) -> list[Finding]:
    return [f for f in lint(context_of(dataset, **settings)).findings if f.rule == rule]  # type: ignore[arg-type]


def test_each_picture_is_decoded_once_for_all_rules_and_rounds(tmp_path: Path) -> None:
    for seed in range(5):
        save(tmp_path, f"{seed}.png", see_through(seed))
    calls: list[str] = []

    def counted(item: DatasetItem, background: str) -> PictureLook:
        calls.append(item.source.sha256)
        return picture_look(item, background)

    looks = PictureLooks(counted)
    dataset = read(tmp_path)

    def make(current: Dataset) -> LintContext:
        return context_of(current, looks=looks, batch_size=4)

    assert sum(rule.decodes for rule in rules().values()) >= 12
    lint_and_mend(make, dataset, "nothing")
    lint_and_mend(make, dataset, "nothing")
    assert sorted(calls) == sorted(item.source.sha256 for item in dataset.items)
    lint_and_mend(make, dataset, "safe")  # Flattened: five new pictures.
    assert len(calls) == len(set(calls)) == 10


def test_progress_is_told_and_cancel_is_heard(tmp_path: Path) -> None:
    for seed in range(3):
        save(tmp_path, f"{seed}.png", clouds(seed))

    class Bar(Silent):
        done: list[tuple[int, int]] = []  # noqa: RUF012

        def update(
            self, done: int, total: int, *, picture: Image.Image | None = None
        ) -> None:
            self.done.append((done, total))
            if self.done:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lint(context_of(read(tmp_path), progress=Bar()))
    assert Bar.done == [(3, 3)]


def palette_with_transparency() -> Image.Image:
    image = see_through(3).convert("RGB").quantize(32)
    image.info["transparency"] = image.getpixel((0, 0))
    return image


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("rgba.png", see_through(1)),
        ("rgba.webp", see_through(1)),
        ("rgba.tif", see_through(1)),
        ("grey.png", see_through(1, (0, 0, 0)).convert("LA")),
        ("palette.png", palette_with_transparency()),
    ],
)
def test_hidden_colours_come_to_light(tmp_path: Path, name: str, image: Image.Image) -> None:
    options: dict[str, object] = {"lossless": True, "exact": True} if name.endswith("webp") else {}
    path = save(tmp_path, name, image, "x", **options)
    dataset = read(tmp_path)
    (one,) = findings(dataset, "hidden-colour")
    with Image.open(path) as again:
        surfacing = np.asarray(again.convert("RGB"))[0, 0]
    told = one.data["colour"]
    assert np.abs(np.array([int(told[n : n + 2], 16) for n in (1, 3, 5)]) - surfacing).max() <= 3
    assert one.level == "error"
    seen = np.asarray(decode(dataset.items[0].source, "white").image)
    before = tree(tmp_path)
    mended = lint_and_mend(context_of, dataset, "safe")
    assert findings(mended.dataset, "hidden-colour") == []
    (item,) = read(tmp_path).items
    assert item.file == Path(name).with_suffix(".png").name
    assert np.array_equal(np.asarray(Image.open(tmp_path / item.file)), seen)
    assert item.caption == mended.dataset.items[0].caption == "x"
    if item.file != name:
        assert tree(tmp_path)[f"rejected/{name}"] == before[name]


def test_hidden_colours_that_nobody_can_see(tmp_path: Path) -> None:
    save(tmp_path, "same.png", see_through(1, (255, 255, 255)))
    save(tmp_path, "opaque.png", clouds(2).convert("RGBA"))
    assert found(tmp_path, "hidden-colour") == []
    # On another background it is seen.
    assert len(findings(read(tmp_path, background="black"), "hidden-colour")) == 1


def test_transparency_that_is_a_mask_is_let_be(tmp_path: Path) -> None:
    save(tmp_path, "a.png", see_through(1))
    (one,) = findings(read(tmp_path, masks="alpha"), "hidden-colour")
    assert (one.level, one.fix) == ("info", None)


def test_no_fix_lays_a_mask_on_a_ground(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path, "a.webp", see_through(1), lossless=True, exact=True, exif=exif.tobytes())
    (one,) = findings(read(tmp_path, masks="alpha"), "turned")
    assert one.fix is None
    (one,) = findings(read(tmp_path), "turned")
    assert one.fix is not None


def test_a_png_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    save(tmp_path, "a.webp", see_through(1), lossless=True, exact=True)
    save(tmp_path, "a.png", clouds(5))
    (one,) = found(tmp_path, "hidden-colour")
    assert one.fix is None


def adobe_like_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def test_what_the_decoder_noted(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path, "phone.jpg", clouds(1), exif=exif)
    deep = Image.fromarray((np.arange(256 * 320).reshape(256, 320) % 65536).astype(np.uint16))
    save(tmp_path, "scan.png", deep)
    save(tmp_path, "print.jpg", clouds(3).convert("CMYK"))
    save(tmp_path, "pages.tif", clouds(4), save_all=True, append_images=[clouds(5)])
    save(tmp_path, "odd.png", clouds(6), icc_profile=adobe_like_profile())
    dataset = read(tmp_path)
    expected = {
        "turned": "phone.jpg", "deep-colour": "scan.png", "cmyk": "print.jpg",
        "animated": "pages.tif", "colour-profile": "odd.png",
    }
    for rule, name in expected.items():
        (one,) = findings(dataset, rule)
        assert one.items == (name,), rule
        assert (one.fix is None) == (rule == "colour-profile")
        assert one.fix is None or not one.fix.safe
    pixels = {item.name: np.asarray(decode(item.source, "white").image) for item in dataset.items}
    before = tree(tmp_path)
    mended = lint_and_mend(context_of, dataset, "turned, deep-colour, cmyk, animated")
    for item in mended.dataset.items:
        old = next(name for name in pixels if Path(name).stem == Path(item.name).stem)
        assert np.array_equal(np.asarray(decode(item.source, "white").image), pixels[old]), old
        assert item.caption == "x"
    kept = {p.read_bytes() for p in (tmp_path / ".kiln").rglob("*") if p.is_file()}
    assert set(before.values()) <= set(tree(tmp_path).values()) | kept
    assert len(read(tmp_path)) == len(dataset)


def test_too_small_and_too_long(tmp_path: Path) -> None:
    save(tmp_path, "small.png", clouds(1, (128, 96)))
    save(tmp_path, "tiny.png", clouds(2, (300, 20)))
    save(tmp_path, "long.png", clouds(3, (1600, 256)))
    save(tmp_path, "fine.png", clouds(4, (256, 256)))
    dataset = read(tmp_path)
    small, tiny = sorted(findings(dataset, "small-picture"), key=lambda one: one.level)[::-1]
    assert (small.items, small.level, small.data["factor"]) == (("small.png",), "warning", 2.31)
    assert (tiny.items, tiny.level) == (("tiny.png",), "error")
    (cut,) = findings(dataset, "cut-away")
    assert cut.items == ("long.png",)
    assert cut.data["lost"] == pytest.approx(1 - 4 / 6.25, abs=0.02)


def test_sizes_with_fewer_pictures_than_a_batch(tmp_path: Path) -> None:
    for seed in range(4):
        save(tmp_path, f"wide{seed}.png", clouds(seed))
    save(tmp_path, "tall.png", clouds(9, (256, 320)))
    dataset = read(tmp_path)
    assert findings(dataset, "lonely-size") == []
    (one,) = findings(dataset, "lonely-size", batch_size=4)
    assert one.items == ("tall.png",)


def test_copies(tmp_path: Path) -> None:
    first = clouds(1, (640, 512))
    save(tmp_path, "a.png", first)
    save(tmp_path, "same.png", first, "another caption")
    save(tmp_path, "small.jpg", first.resize((320, 256)), quality=70)
    save(tmp_path, "bright.png", ImageEnhance.Brightness(first).enhance(1.05))
    save(tmp_path, "other.png", clouds(2, (640, 512)))
    dataset = read(tmp_path)
    (exact,) = findings(dataset, "exact-duplicate")
    assert exact.items == ("a.png", "same.png")
    assert "captions differ" in exact.text
    (near,) = findings(dataset, "near-duplicate")
    assert near.items == ("a.png", "bright.png", "small.jpg")
    assert not any(one.fix is None or one.fix.safe for one in (exact, near))
    mended = lint_and_mend(context_of, dataset, "exact-duplicate, near-duplicate")
    assert [item.name for item in mended.dataset.items] == ["a.png", "other.png"]
    assert set(tree(tmp_path)) >= {"rejected/same.png", "rejected/same.txt", "rejected/small.jpg"}
    assert findings(read(tmp_path), "near-duplicate") == []


def test_one_outline_in_two_colours_is_two_pictures(tmp_path: Path) -> None:
    for colour in ("red", "blue"):
        image = Image.new("RGB", (256, 256), "white")
        image.paste(colour, (64, 64, 192, 192))
        save(tmp_path, f"{colour}.png", image)
    save(tmp_path, "flat.png", Image.new("RGB", (256, 256), "green"))
    save(tmp_path, "bare.png", Image.new("RGB", (256, 256), "yellow"))
    assert found(tmp_path, "near-duplicate") == []


def test_held_out_pictures_that_are_trained_on(tmp_path: Path) -> None:
    save(tmp_path, "a.png", clouds(1))
    save(tmp_path, "a_again.png", clouds(1))
    save(tmp_path, "b.png", clouds(2))
    save(tmp_path, "b_again.jpg", clouds(2), quality=80)
    save(tmp_path, "c.png", clouds(3))
    whole = read(tmp_path)
    held = {"a_again.png", "b_again.jpg", "c.png"}
    items = tuple(
        dataclasses.replace(i, role=VALIDATION) if i.name in held else i for i in whole.items
    )
    dataset = dataclasses.replace(whole, items=items)
    leaks = findings(dataset, "validation-leak")
    assert [one.items for one in leaks] == [("a_again.png", "a.png"), ("b_again.jpg", "b.png")]
    assert findings(dataset, "exact-duplicate") == findings(dataset, "near-duplicate") == []
    assert findings(whole, "validation-leak") == []


def test_a_border_that_nobody_names(tmp_path: Path) -> None:
    for seed in range(6):
        framed = Image.new("RGB", (320, 256), (250, 248, 245))
        framed.paste(clouds(seed, (240, 180)), (40, 38))
        save(tmp_path, f"{seed}.png", framed, f"lazdraw, drawing {seed}")
    (one,) = found(tmp_path, "same-border")
    assert "6 of 6 pictures have a white border" in one.text
    assert found(tmp_path, "recurring-object") == []
    for file in tmp_path.glob("*.txt"):
        write(file, file.read_text("utf-8") + ", simple_background")
    assert found(tmp_path, "same-border") == []


def test_borders_that_differ(tmp_path: Path) -> None:
    for seed, colour in enumerate(["red", "blue", "white", "black", "green", "yellow"]):
        image = Image.new("RGB", (320, 256), colour)
        image.paste(clouds(seed, (240, 180)), (40, 38))
        save(tmp_path, f"{seed}.png", image)
    assert found(tmp_path, "same-border") == []
    assert found(tmp_path, "recurring-object") == []


def test_a_thing_in_most_pictures(tmp_path: Path) -> None:
    for seed in range(10):
        image = with_ball(seed) if seed < 7 else clouds(seed)
        save(tmp_path, f"{seed}.png", image, f"lazdraw, study {'abcdefghij'[seed]}")
    (one,) = found(tmp_path, "recurring-object", trigger="lazdraw")
    assert set(one.items) == {f"{seed}.png" for seed in range(7)}
    left, top, right, bottom = one.data["box"]
    # Drawn from 75 % to 94 % of the width, and from 70 % to 92 % of the height.
    assert (left, top, right, bottom) == pytest.approx((0.75, 0.70, 0.94, 0.92), abs=0.05)
    assert one.data["shared_words"] == ["study"]
    # A word that only those with it have names it.
    for seed in range(7):
        write(tmp_path / f"{seed}.txt", f"lazdraw, study {seed}, a wax seal")
    assert found(tmp_path, "recurring-object", trigger="lazdraw") == []


def test_few_pictures_have_nothing_recurring(tmp_path: Path) -> None:
    for seed in range(4):
        save(tmp_path, f"{seed}.png", with_ball(seed))
    assert found(tmp_path, "recurring-object") == []


def test_pictures_from_the_graph_have_no_files_to_mend() -> None:
    import torch

    pixels = torch.from_numpy(np.array(see_through(1))).float()[None] / 255
    dataset = dataset_from_images([pixels, pixels], ["x"])
    report = lint(context_of(dataset))
    assert {f.rule for f in report.findings} >= {"hidden-colour", "exact-duplicate"}
    assert all(f.fix is None for f in report.findings)
