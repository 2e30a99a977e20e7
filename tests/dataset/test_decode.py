"""Pictures as cameras, scanners and drawing programs write them."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from lora_kiln.core.errors import ConfigError, DatasetError
from lora_kiln.dataset import decode as module
from lora_kiln.dataset.decode import AVIF, decode, decode_bytes, inspect
from lora_kiln.dataset.items import PictureArray, PictureFile, PictureSource

Gradient = Callable[..., Image.Image]


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def decoded(data: bytes, background: str = "white") -> np.ndarray:
    picture = decode_bytes(data, "x", background)
    assert picture.image.mode == "RGB"
    return np.asarray(picture.image).astype(int)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_come_through_unchanged(gradient: Gradient, format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    result = decode_bytes(encoded(gradient(), format, **options), "x", "white")
    assert np.array_equal(np.asarray(result.image), np.asarray(gradient()))
    assert result.notes == ()


@pytest.mark.parametrize("format", ["JPEG", "TIFF", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_upright(format: str, orientation: int) -> None:
    # What the person saw when taking the picture: red, green / blue, white in the corners.
    upright = np.zeros((32, 48, 3), dtype=np.uint8)
    upright[:16, :24], upright[:16, 24:] = (255, 0, 0), (0, 255, 0)
    upright[16:, :24], upright[16:, 24:] = (0, 0, 255), (255, 255, 255)
    # EXIF 2.32, tag 274: what a camera held that way stores of it.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)), format, exif=exif.tobytes())
    result = decode_bytes(data, "x", "white")
    assert result.image.size == (48, 32)
    pixels = np.asarray(result.image).astype(int)
    for y, x in ((8, 12), (8, 36), (24, 12), (24, 36)):
        assert np.abs(pixels[y, x] - upright[y, x]).max() < 12
    assert result.notes == (() if orientation == 1 else (module.NOTE_TURNED,))


@pytest.mark.parametrize(
    ("background", "colour"),
    [("white", 255), ("black", 0), ("grey", 128), ("#808080", 128), ("gray", 128)],
)
def test_hidden_magenta_never_surfaces(background: str, colour: int) -> None:
    pixels = np.zeros((16, 16, 4), dtype=np.uint8)
    pixels[:] = (255, 0, 255, 0)
    pixels[4:8, 4:8] = (10, 20, 30, 255)
    for format in ("PNG", "WEBP", "TIFF"):
        options = {"lossless": True, "exact": True} if format == "WEBP" else {}
        result = decode_bytes(encoded(Image.fromarray(pixels), format, **options), "x", background)
        seen = np.asarray(result.image)
        assert (seen[0, 0] == colour).all()
        assert tuple(seen[5, 5]) == (10, 20, 30)
        assert result.notes == (module.NOTE_ALPHA,)


def test_half_transparency_mixes_with_the_background() -> None:
    image = Image.new("RGBA", (4, 4), (200, 0, 0, 128))
    assert abs(decoded(encoded(image), "black")[0, 0, 0] - 100) <= 1
    assert abs(decoded(encoded(image), "#0000ff")[0, 0, 2] - 127) <= 1


def test_opaque_alpha_is_no_news_and_an_invisible_picture_is_refused(gradient: Gradient) -> None:
    assert decode_bytes(encoded(gradient().convert("RGBA")), "x", "white").notes == ()
    with pytest.raises(DatasetError, match=r"ghost\.png is transparent everywhere"):
        decode_bytes(encoded(Image.new("RGBA", (8, 8), (9, 9, 9, 0))), "ghost.png", "white")


def test_palette_grey_and_colour_keys() -> None:
    rgb = Image.new("RGB", (8, 8), (250, 10, 10))
    rgb.paste((0, 0, 255), (0, 0, 4, 8))
    palette = rgb.quantize(2)
    assert np.abs(decoded(encoded(palette)) - np.asarray(rgb)).max() <= 1
    key = palette.getpixel((0, 0))
    assert (decoded(encoded(palette, transparency=key))[0, 0] == 255).all()
    grey = Image.new("L", (8, 8), 90)
    grey.putpixel((1, 1), 7)
    assert (decoded(encoded(grey))[0, 0] == 90).all()
    assert (decoded(encoded(grey, transparency=7), "black")[1, 1] == 0).all()
    grey_alpha = Image.merge("LA", (grey, Image.new("L", (8, 8), 0)))
    grey_alpha.putpixel((0, 0), (33, 255))
    assert decoded(encoded(grey_alpha))[:2, :2, 0].tolist() == [[33, 255], [255, 255]]
    assert decoded(encoded(Image.new("1", (8, 8), 1))).min() == 255


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_clipped(format: str) -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16)[None, :].repeat(4, 0)
    result = decode_bytes(encoded(Image.fromarray(ramp), format), "x", "white")
    assert np.asarray(result.image)[0, :, 0].tolist() == list(range(256))
    assert result.notes == (module.NOTE_DEPTH,)


def png(width: int, height: int, depth: int, kind: int, rows: bytes, key: bytes = b"") -> bytes:
    """A PNG of any kind (PNG specification, section 11.2), also those Pillow never writes."""

    def chunk(name: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    transparency = chunk(b"tRNS", key) if key else b""
    data = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + transparency + data


def test_sixteen_bit_png_with_colour_or_alpha() -> None:
    row = b"\0" + struct.pack(">6H", 65535, 32768, 0, 257, 514, 771)
    assert decoded(png(2, 1, 16, 2, row))[0].tolist() == [[255, 128, 0], [1, 2, 3]]
    grey_alpha = b"\0" + struct.pack(">4H", 30000, 65535, 60000, 0)
    assert decoded(png(2, 1, 16, 4, grey_alpha))[0, :, 0].tolist() == [117, 255]
    grey = b"\0" + struct.pack(">2H", 1000, 60000)
    keyed = png(2, 1, 16, 0, grey, key=struct.pack(">H", 1000))
    assert decoded(keyed)[0, :, 0].tolist() == [255, 233]
    with pytest.raises(DatasetError, match="transparent colour of 16 bits"):
        decoded(png(2, 1, 16, 2, row, key=struct.pack(">3H", 257, 514, 771)))


def test_unclear_depths_are_refused_with_the_way_out() -> None:
    values = np.linspace(-5, 5, 64, dtype=np.float32).reshape(8, 8)
    with pytest.raises(DatasetError, match=r"scan\.tif .*numbers \(F\).*8-bit PNG"):
        decode_bytes(encoded(Image.fromarray(values), "TIFF"), "scan.tif", "white")
    inverted = Image.fromarray(np.full((8, 8), 60000, dtype=np.uint16))
    data = encoded(inverted, "TIFF", tiffinfo={262: 0})
    with pytest.raises(DatasetError, match="zero is white"):
        decode_bytes(data, "scan.tif", "white")


def test_cmyk_is_seen_as_printed_and_reported() -> None:
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    for format in ("JPEG", "TIFF"):
        result = decode_bytes(encoded(cyan, format), "x", "white")
        red, green, blue = np.asarray(result.image)[8, 8].tolist()
        assert red < 10
        assert green > 240
        assert blue > 240
        assert any("CMYK" in note for note in result.notes)


def test_only_the_first_frame_is_used(gradient: Gradient) -> None:
    frames = [gradient(16, 16, seed=number) for number in range(3)]
    for format, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        data = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
        result = decode_bytes(data, "x", "white")
        assert np.array_equal(np.asarray(result.image), np.asarray(frames[0]))
        assert result.notes == (module.NOTE_FRAMES,)


FORMATS = ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"] + (["AVIF"] if AVIF else [])


@pytest.mark.parametrize("leniency", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_truncated_files_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, format: str, leniency: bool
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", leniency)
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), format)
    decode_bytes(data, "whole", "white")
    for fraction in (0.02, 0.3, 0.6, 0.9, 0.98):
        with pytest.raises(DatasetError, match=r"half\.img cannot be decoded"):
            decode_bytes(data[: int(len(data) * fraction)], "half.img", "white")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is leniency


def test_a_png_with_flipped_bits_or_without_its_end_is_refused(gradient: Gradient) -> None:
    data = bytearray(encoded(gradient()))
    with pytest.raises(DatasetError):
        decode_bytes(bytes(data[:-12]), "x.png", "white")
    data[len(data) // 2] ^= 0x55
    with pytest.raises(DatasetError, match=r"x\.png cannot be decoded"):
        decode_bytes(bytes(data), "x.png", "white")


@pytest.mark.parametrize(("side", "said"), [(8100, "66 million"), (50000, "far too many")])
def test_a_decompression_bomb_is_refused_before_decoding(side: int, said: str) -> None:
    data = png(side, side, 8, 2, b"never read")
    with pytest.raises(DatasetError, match=f"bomb has {said} pixels"):
        decode_bytes(data, "bomb", "white")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # About tags of damaged TIFF files.
def test_damaged_bytes_never_raise_anything_else(gradient: Gradient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = [encoded(gradient(24, 16), format, exif=exif.tobytes()) for format in FORMATS]
    random = np.random.default_rng(7)
    decodable = 0
    for number in range(400):
        data = bytearray(whole[number % len(whole)])
        for _ in range(random.integers(1, 5)):
            data[random.integers(len(data))] = random.integers(256)
        with contextlib.suppress(DatasetError):
            decodable += decode_bytes(bytes(data), "x", "white").image.mode == "RGB"
    assert 0 < decodable < 400


def test_files_in_disguise(gradient: Gradient, tmp_path: Path) -> None:
    path = tmp_path / "really_a_jpeg.png"
    path.write_bytes(encoded(gradient(), "JPEG"))
    assert inspect(PictureFile(path, "x")).width_px == 48
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n"
    with pytest.raises(DatasetError, match="not a picture of a kind"):
        decode_bytes(postscript, "evil.png", "white")


def test_inspect_remembers_until_the_file_changes(
    gradient: Gradient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    gradient(40, 30).save(path)
    decodings: list[str] = []

    def counted(source: PictureSource, background: str) -> module.Decoded:
        decodings.append(source.name)
        return decode(source, background)

    monkeypatch.setattr(module, "decode", counted)
    source = PictureFile(path, "a.png")
    assert (inspect(source).width_px, inspect(source).height_px) == (40, 30)
    assert len(decodings) == 1
    gradient(50, 30).save(path)
    assert inspect(source).width_px == 50


def test_arrays(gradient: Gradient) -> None:
    pixels = np.asarray(gradient())
    assert np.array_equal(np.asarray(decode(PictureArray("a", pixels), "white").image), pixels)
    see_through = np.dstack([pixels, np.full(pixels.shape[:2], 0, dtype=np.uint8)])
    see_through[0, 0, 3] = 255
    result = decode(PictureArray("a", see_through), "black")
    assert np.asarray(result.image)[1:].max() == 0
    assert result.notes == (module.NOTE_ALPHA,)
    with pytest.raises(DatasetError, match="ordinary IMAGE"):
        PictureArray("a", pixels[..., :1])


def test_a_background_that_is_no_colour_is_refused() -> None:
    image = encoded(Image.new("RGBA", (4, 4), (1, 2, 3, 100)))
    with pytest.raises(ConfigError, match=r"'pinkish'.*#f4efe6"):
        decode_bytes(image, "x", "pinkish")
