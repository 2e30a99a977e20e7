"""Pictures come back with their texts, found by the rules of ComfyUI's front end."""

from __future__ import annotations

import json
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lora_kiln.core.errors import ConfigError
from lora_kiln.sweep.file_settings import SweepFileSettings
from lora_kiln.sweep.picture_format import picture_formats
from lora_kiln.sweep.picture_metadata import exif_bytes

WORKFLOW = json.dumps({"nodes": [{"title": "Größe: 画"}]}, ensure_ascii=False)
TEXTS = {"prompt": json.dumps({"1": {"x": "ü"}}), "workflow": WORKFLOW, "kiln_cell": '{"cfg": 6}'}


def noise(size: tuple[int, int]) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def png_texts(data: bytes) -> dict[str, str]:
    """Chunks tEXt and iTXt up to their first zero byte are the name; all is read as UTF-8."""
    found, at = {}, 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if kind in (b"tEXt", b"iTXt"):
            name, _, text = body.partition(b"\0")
            if kind == b"iTXt":
                assert text[0] == 0
                text = text[2:].split(b"\0", 2)[2]
            found[name.decode()] = text.decode("utf-8")
        at += 12 + length
    return found


def webp_texts(data: bytes) -> dict[str, str]:
    """The EXIF chunk's first folder: every text tag, parted at its first colon."""
    assert (data[:4], data[8:12]) == (b"RIFF", b"WEBP")
    at = 12
    while at < len(data):
        (length,) = struct.unpack("<I", data[at + 4 : at + 8])
        if data[at : at + 4] == b"EXIF":
            return exif_texts(data[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    return {}


def exif_texts(exif: bytes) -> dict[str, str]:
    exif = exif.removeprefix(b"Exif\0\0")
    order = "<" if exif[:2] == b"II" else ">"
    (start,) = struct.unpack(order + "I", exif[4:8])
    (count,) = struct.unpack(order + "H", exif[start : start + 2])
    found = {}
    for number in range(count):
        entry = exif[start + 2 + 12 * number :][:12]
        _, kind, length, where = struct.unpack(order + "HHII", entry)
        if kind == 2:
            name, _, text = exif[where : where + length - 1].decode("utf-8").partition(":")
            found[name] = text
    return found


@pytest.mark.parametrize("name", picture_formats())
def test_pixels_and_texts_come_back(tmp_path: Path, name: str) -> None:
    form, picture = picture_formats()[name], noise((40, 24))
    path = tmp_path / f"a{form.suffix}"
    assert form.write(path, picture, TEXTS, 90) == ()
    with Image.open(path) as read:
        assert read.size == picture.size
        assert read.format == {"jpeg": "JPEG", "png": "PNG"}.get(name, "WEBP")
        same = read.convert("RGB").tobytes() == picture.tobytes()
    assert same == form.lossless
    data = path.read_bytes()
    if form.suffix == ".jpg":
        with Image.open(path) as read:
            assert exif_texts(read.info["exif"]) == TEXTS
    else:
        assert form.opens
        assert (png_texts if form.suffix == ".png" else webp_texts)(data) == TEXTS
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", picture_formats())
def test_a_picture_without_texts(tmp_path: Path, name: str) -> None:
    form = picture_formats()[name]
    form.write(tmp_path / "a", noise((8, 8)), {}, 50)
    with Image.open(tmp_path / "a") as read:
        read.load()


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_quality_decides_the_size(name: str) -> None:
    sizes = []
    for quality in (1, 60, 89, 100):
        file = BytesIO()
        picture_formats()[name].encode(noise((64, 64)), file, {}, quality)
        sizes.append(len(file.getvalue()))
    assert sizes == sorted(set(sizes))


def test_a_workflow_too_large_for_jpeg_is_left_out_and_nothing_else(tmp_path: Path) -> None:
    texts = {**TEXTS, "workflow": json.dumps(["x" * 70_000])}
    path = tmp_path / "a.jpg"
    assert picture_formats()["jpeg"].write(path, noise((8, 8)), texts, 90) == ("workflow",)
    with Image.open(path) as read:
        assert set(exif_texts(read.info["exif"])) == {"prompt", "kiln_cell"}
    webp = tmp_path / "a.webp"
    assert picture_formats()["webp"].write(webp, noise((8, 8)), texts, 90) == ()
    assert webp_texts(webp.read_bytes()) == texts


def test_jpeg_takes_all_of_its_64_kib() -> None:
    """One byte more, and Pillow would refuse to write the picture."""
    for length in range(65_460, 65_540):
        exif, left_out = exif_bytes({"workflow": "x" * length}, 65_533)
        assert bool(left_out) == (not exif)
        Image.new("RGB", (1, 1)).save(BytesIO(), "JPEG", exif=exif)
    assert exif_bytes({"workflow": "x" * 65_460}, 65_533)[0]


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_what_a_format_cannot_hold_becomes_smaller(tmp_path: Path, name: str) -> None:
    form = picture_formats()[name]
    form.write(tmp_path / "a", Image.new("RGB", (70_000, 8), "red"), {}, 80)
    with Image.open(tmp_path / "a") as read:
        assert read.width in (form.longest_side_px, form.longest_side_px - 1)
        assert read.height == 8 * form.longest_side_px // 70_000


NAMES = st.text("abcdef_", min_size=1, max_size=9)


@settings(max_examples=40)
@given(st.dictionaries(NAMES, st.text(max_size=40), max_size=9))
def test_any_texts_are_found_or_named(texts: dict[str, str]) -> None:
    kept = {name: text.replace("\0", "") + "long enough" for name, text in texts.items()}
    exif, left_out = exif_bytes(kept)
    found = exif_texts(exif) if exif else {}
    clean = {name: text.encode("utf-8", "replace").decode() for name, text in kept.items()}
    assert found == {name: text for name, text in clean.items() if name not in left_out}
    assert len(left_out) == max(0, len(kept) - 5)


def test_settings_name_what_is_wrong() -> None:
    assert SweepFileSettings().format.name == "png"
    for wrong in ({"picture_format": "bmp"}, {"picture_quality": 0}, {"strip_axis": "mood"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            SweepFileSettings(**wrong)


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=200), max_size=4))
def test_texts_of_a_png_are_exchanged_without_touching_its_pixels(texts: dict[str, str]) -> None:
    from io import BytesIO

    from lora_kiln.sweep.picture_metadata import png_info, png_with_texts

    names = {f"n{number}": text.replace("\0", "") for number, text in enumerate(texts.values())}
    names = {name: text.encode("utf-8", "replace").decode() for name, text in names.items()}
    picture = Image.effect_noise((40, 30), 50).convert("RGB")
    file = BytesIO()
    picture.save(file, "PNG", pnginfo=png_info({"old": "x", "odd": "ü"}))
    with Image.open(BytesIO(png_with_texts(file.getvalue(), names))) as found:
        found.load()
        assert found.tobytes() == picture.tobytes()
        assert dict(found.info) == names
    with Image.open(BytesIO(png_with_texts(file.getvalue(), names))) as found:
        found.verify()
