"""Real photographs and scans through every reader, exactly as Pillow's own transforms show them.

They are the sample pictures that scikit-image and matplotlib carry in their packages (licences
are in ``skimage/data/README.txt`` and matplotlib's ``LICENSE``): photographs by cameras and
telescopes, a scanned page, slides under a microscope, the back of an eye. Nothing of theirs is
kept here.
"""

from __future__ import annotations

import importlib.util
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from lora_kiln.core.errors import DatasetError
from lora_kiln.dataset import decode, frames
from lora_kiln.dataset.decode import AVIF, decode_bytes
from lora_kiln.dataset.facts import NOTE_ALPHA, NOTE_DEPTH, NOTE_FRAMES, NOTE_TURNED
from lora_kiln.dataset.icc import NOTE_CMYK, NOTE_PROFILE
from lora_kiln.dataset.items import PictureFile
from lora_kiln.dataset.masks import decode_mask
from lora_kiln.dataset.perceptual import differing_bits, perceptual_hash
from lora_kiln.dataset.scan import scan_folder

SKIMAGE = (
    "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png",
    "coffee.png", "coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png",
    "microaneurysms.png", "moon.png", "motorcycle_left.png", "motorcycle_right.png", "page.png",
    "retina.jpg", "rocket.jpg", "text.png",
)
LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {}, "TIFF": {}, "WEBP": {"lossless": True, "exact": True, "method": 0}, "BMP": {},
}
LOSSY: dict[str, dict[str, Any]] = {"JPEG": {"quality": 90}, "WEBP": {"quality": 90, "method": 0}}
if AVIF:
    LOSSY["AVIF"] = {"speed": 10}
WITH_EXIF = ("PNG", "JPEG", "TIFF", "WEBP", "AVIF")
CAMERA = {0x010F: "NIKON CORPORATION", 0x0110: "NIKON D70", 0x0131: "Ver.2.00 ", 0x011A: 300.0}


def shipped(package: str, folder: str, name: str) -> Path:
    """A sample file of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations, f"pip install {package}"
    return Path(spec.submodule_search_locations[0]) / folder / name


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """The pictures as their packages ship them."""
    found = [shipped("skimage", "data", name) for name in SKIMAGE]
    return [*found, shipped("matplotlib", "mpl-data/sample_data", "grace_hopper.jpg")]


@pytest.fixture(scope="module")
def photographs(files: list[Path]) -> list[Image.Image]:
    """A part of each, RGB, of odd and even sizes."""
    parts = []
    for number, path in enumerate(files):
        with Image.open(path) as image:
            part = image.convert("RGB").crop((0, 0, 102, 102))
        part = part.crop((3, 5, 99 - number % 2, 78 - number % 3))
        part.info = {}  # No colour profile, which Pillow would save again with every copy.
        parts.append(part)
    return parts


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def pixels(data: bytes, *notes: str) -> np.ndarray:
    """What our reader sees; these and no other notes must be told."""
    result = decode_bytes(data, "x", "white")
    assert result.image.mode == "RGB"
    assert result.notes == notes
    return np.asarray(result.image)


def same(ours: np.ndarray, reference: Image.Image) -> bool:
    return np.array_equal(ours, np.asarray(reference.convert("RGB")))


def seen_through(profile: bytes, image: Image.Image) -> Image.Image:
    """ImageCms' own conversion to sRGB."""
    made = ImageCms.profileToProfile(
        image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert made is not None
    return made


def test_at_least_twenty_as_they_are_shipped(files: list[Path]) -> None:
    assert len(files) >= 20
    for path in files:
        data = path.read_bytes()
        result = decode_bytes(data, path.name, "white")
        with Image.open(io.BytesIO(data)) as image:
            upright, profile = ImageOps.exif_transpose(image), image.info.get("icc_profile")
            if NOTE_PROFILE in result.notes:
                assert same(np.asarray(result.image), seen_through(profile, upright)), path.name
            else:
                assert same(np.asarray(result.image), upright), path.name
            if profile and NOTE_PROFILE not in result.notes:  # sRGB by another name.
                apart = np.asarray(seen_through(profile, upright)).astype(int) - result.image
                assert np.abs(apart).max() <= 2


def test_a_folder_of_them_is_a_dataset(files: list[Path], tmp_path: Path) -> None:
    for path in files:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    dataset = scan_folder(tmp_path, name="photographs")
    assert len(dataset) == len(files)
    hashes = []
    for item in dataset.items:
        assert isinstance(item.source, PictureFile) and item.source.record is not None
        hashes.append(item.source.record.perceptual_hash)
        with Image.open(item.source.path) as image:
            size = item.source.record.facts.width_px, item.source.record.facts.height_px
            assert size == ImageOps.exif_transpose(image).size
    pairs = [(differing_bits(a, b), n, m) for n, a in enumerate(hashes)
             for m, b in enumerate(hashes[:n])]
    # The two eyes of one stereo camera are the only pair that is alike.
    names = {dataset.items[n].name for n in min(pairs)[1:]}
    assert names == {"motorcycle_left.png", "motorcycle_right.png"}
    assert sorted(pairs)[1][0] > 10


def test_copies_of_photographs_look_alike(files: list[Path]) -> None:
    for path in files:
        with Image.open(path) as image:
            picture = image.convert("RGB")
        small = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)
        again = Image.open(io.BytesIO(saved(small, "JPEG", quality=50)))
        assert differing_bits(perceptual_hash(picture), perceptual_hash(again)) <= 8, path.name


@pytest.mark.parametrize("format", LOSSLESS)
def test_lossless_formats_and_modes(photographs: list[Image.Image], format: str) -> None:
    for picture in photographs:
        assert same(pixels(saved(picture, format, **LOSSLESS[format])), picture)
        grey, palette, bits = picture.convert("L"), picture.quantize(64), picture.convert("1")
        assert same(pixels(saved(grey, format, **LOSSLESS[format])), grey)
        if format != "WEBP":
            assert same(pixels(saved(palette, format)), palette)
            assert same(pixels(saved(bits, format)), bits)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        if format == "TIFF":
            assert same(pixels(saved(photographs[0], format, compression=compression)),
                        photographs[0])


@pytest.mark.parametrize("format", LOSSY)
def test_lossy_formats_show_what_pillow_shows(
    photographs: list[Image.Image], format: str
) -> None:
    for picture in photographs:
        for shown in (picture, picture.convert("L")):
            data = saved(shown, format, **LOSSY[format])
            with Image.open(io.BytesIO(data)) as reference:
                assert same(pixels(data), reference)


@pytest.mark.parametrize("format", WITH_EXIF if AVIF else WITH_EXIF[:-1])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_a_camera_writes(
    photographs: list[Image.Image], format: str, orientation: int
) -> None:
    notes = () if orientation == 1 else (NOTE_TURNED,)
    for picture in photographs:
        upright = np.asarray(picture)
        # EXIF 2.32, tag 274: what a camera held that way stores of it.
        stored = {
            1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
            5: upright.transpose(1, 0, 2), 6: np.rot90(upright, 1),
            7: upright[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(upright, -1),
        }[orientation]
        exif = Image.Exif()
        exif.update(CAMERA)
        exif[0x0112] = orientation
        options = LOSSLESS.get(format, LOSSY.get(format, {}))
        data = saved(Image.fromarray(np.ascontiguousarray(stored)), format, exif=exif, **options)
        ours = pixels(data, *notes)
        if format in LOSSLESS:
            assert np.array_equal(ours, upright)
        with Image.open(io.BytesIO(data)) as image:
            assert same(ours, ImageOps.exif_transpose(image))


def test_sixteen_bits(photographs: list[Image.Image]) -> None:
    random = np.random.default_rng(0)
    for picture in photographs:
        colours = np.asarray(picture).astype(np.uint16) * 257
        colours = np.clip(colours + random.integers(-120, 121, colours.shape), 0, 65535)
        grey = np.ascontiguousarray(colours[..., 1]).astype(np.uint16)
        wanted = np.round(grey / 257).astype(np.uint8)
        for format in ("PNG", "TIFF"):
            ours = pixels(saved(Image.fromarray(grey), format), NOTE_DEPTH)
            assert np.array_equal(ours, np.dstack([wanted] * 3))
        # Pillow keeps the upper half of 16-bit colours, which is at most one level off.
        for data in (deep_png(colours), deep_tiff(colours)):
            ours = pixels(data, NOTE_DEPTH)
            with Image.open(io.BytesIO(data)) as reference:
                assert same(ours, reference)
            assert np.array_equal(ours, (colours >> 8).astype(np.uint8))


def deep_png(colours: np.ndarray) -> bytes:
    """A 16-bit RGB PNG, which Pillow reads but never writes."""
    height, width, _ = colours.shape
    rows = colours.astype(">u2").reshape(height, -1)
    filtered = b"".join(b"\0" + row.tobytes() for row in rows)
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(filtered)), (b"IEND", b""),
    ):
        data += struct.pack(">I", len(body)) + name + body
        data += struct.pack(">I", zlib.crc32(name + body))
    return data


def deep_tiff(colours: np.ndarray) -> bytes:
    """A 16-bit RGB TIFF in one strip (TIFF 6.0, section 2)."""
    height, width, _ = colours.shape
    body = colours.astype("<u2").tobytes()
    depths_at = 8 + len(body)
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, depths_at), (259, 3, 1, 1),
        (262, 3, 1, 2), (273, 4, 1, 8), (277, 3, 1, 3), (278, 4, 1, height),
        (279, 4, 1, len(body)),
    ]
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    depths = struct.pack("<HHH", 16, 16, 16)
    return b"II*\0" + struct.pack("<I", depths_at + 6) + body + depths + directory


def test_cmyk_without_a_profile(photographs: list[Image.Image]) -> None:
    for picture in photographs:
        printed = picture.convert("CMYK")
        assert same(pixels(saved(printed, "TIFF"), NOTE_CMYK), printed)
        data = saved(printed, "JPEG", quality=95)
        with Image.open(io.BytesIO(data)) as reference:
            assert same(pixels(data, NOTE_CMYK), reference)


def test_transparency(photographs: list[Image.Image]) -> None:
    for picture in photographs:
        ramp = Image.linear_gradient("L").resize(picture.size)
        layered = picture.copy()
        layered.putalpha(ramp)
        white = Image.new("RGBA", picture.size, "white")
        for format, options in (("PNG", {}), ("TIFF", {}), ("WEBP", LOSSLESS["WEBP"])):
            ours = pixels(saved(layered, format, **options), NOTE_ALPHA)
            assert same(ours, Image.alpha_composite(white, layered))
        palette = picture.quantize(32)
        index = palette.getpixel((40, 30))
        for format in ("PNG", "GIF"):
            data = saved(palette, format, transparency=index)
            with Image.open(io.BytesIO(data)) as reference:
                flat = Image.alpha_composite(white, reference.convert("RGBA"))
            ours = pixels(data, NOTE_ALPHA)
            assert same(ours, flat)
            assert ours[30, 40].tolist() == [255, 255, 255]


def test_the_first_frame_of_every_animation(photographs: list[Image.Image]) -> None:
    for number, picture in enumerate(photographs):
        others = [photographs[number - 1].resize(picture.size), ImageOps.mirror(picture)]
        film = {"save_all": True, "append_images": others, "duration": 40}
        for format in ("PNG", "WEBP", "TIFF"):
            data = saved(picture, format, **film, **LOSSLESS[format])
            assert same(pixels(data, NOTE_FRAMES), picture)
        for format, options in (("GIF", {}), *((("AVIF", LOSSY["AVIF"]),) if AVIF else ())):
            first = picture.quantize(64) if format == "GIF" else picture
            data = saved(first, format, **film, **options)
            with Image.open(io.BytesIO(data)) as reference:
                assert same(pixels(data, NOTE_FRAMES), reference)


def test_more_frames_than_a_picture_has(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (frames, decode):
        monkeypatch.setattr(module, "MAX_FRAMES", 20)  # Writing a thousand takes seconds.
    tiny = [Image.new("RGB", (3, 3), (shade * 10, 0, 0)) for shade in range(21)]
    for format in ("GIF", "TIFF", "PNG", "WEBP"):
        for count, is_refused in ((20, False), (21, True)):
            data = saved(tiny[0], format, save_all=True, append_images=tiny[1:count])
            if is_refused:
                with pytest.raises(DatasetError, match="more than 20 frames"):
                    decode_bytes(data, "x", "white")
            else:
                pixels(data, NOTE_FRAMES)


def test_a_profile_of_another_space(photographs: list[Image.Image]) -> None:
    """Lab is the one space besides sRGB for which LittleCMS makes a profile by itself."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for picture in photographs:
        lab = ImageCms.profileToProfile(
            picture, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"),
            outputMode="LAB",
        )
        assert lab is not None
        data = saved(lab, "TIFF", icc_profile=profile)
        with Image.open(io.BytesIO(data)) as reference:
            assert same(pixels(data, NOTE_PROFILE), seen_through(profile, reference))


def test_as_masks(photographs: list[Image.Image], tmp_path: Path) -> None:
    for number, picture in enumerate(photographs):
        path = tmp_path / f"{number}.png"
        picture.save(path)
        mask = decode_mask(PictureFile(path, path.name))
        assert np.array_equal(np.asarray(mask), np.asarray(picture.convert("L")))
