"""What is mutated: small pictures of every kind, made anew each time, and texts.

Whoever adds a reader of some file adds its name and a few examples to :data:`TEXTS`.
"""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from lora_kiln.dataset.decode import AVIF

TEXTS: list[tuple[str, list[bytes]]] = [
    ("a.txt", [
        b"a plate of a hand, engraved", "Köpfe, \U0001f600, 手".encode(),
        b"\xef\xbb\xbfone\r\ntwo\r\n", b"{a|b}, c|||d",
        "utf-16".encode("utf-16"), "Größe".encode("latin-1"), b"",
    ]),
    ("b/c.caption", [b"1girl, solo, (red hair:1.2), \\(artist\\), embedding:x, <lora:y:1>"]),
    ("metadata.csv", [
        b'file_name,caption,subject,year\na.png,"one, two",hand,1910\nb/c.png,"a ""word""",,1911\n',
        b'file_name;text\r\n"a.png";"x\r\ny"\r\n', b"file_name,text\n../a.png,out\n/etc/passwd,x\n",
    ]),
    ("metadata.jsonl", [
        b'{"file_name": "a.png", "text": "one", "tags": ["a", "b"], "n": 1.5}\n'
        b'{"file_name": "b/c.png", "caption": "two\\u00e9", "subject": null}\n',
        b'{"file_name": "../../x.png", "text": "\\ud83d\\ude00"}\n',
    ]),
    ("b/metadata.csv", [b"file_name,caption,role,repeats\nc.png,two,validation,2.5\n"]),
    ("a.json", [
        b'{"tag_string_general": "1girl long_hair", "tag_string_character": "a_(b)"}',
        b'{"tags": {"general": ["solo", "hat"], "artist": ["x"]}, "id": 3}',
        b'{"caption": "a plate", "tags": "one, two"}',
    ]),
    ("b/c.png.json", [b'{"tags": ["long_hair", "blue_eyes"], "category": "danbooru"}']),
    ("meta_cap.json", [
        b'{"a": {"caption": "one", "tags": "x, y", "train_resolution": [512, 512]}}',
        b'{"/elsewhere/b/c.png": {"caption": "two"}, "../../x": {"caption": "out"}}',
    ]),
    ("dataset.toml", [
        b"[general]\nshuffle_caption = true\ncaption_extension = '.txt'\n[[datasets]]\n"
        b"resolution = [512, 768]\n[[datasets.subsets]]\nimage_dir = 'b'\nnum_repeats = 3\n"
        b"class_tokens = 'ohwx woman'\n[[datasets.subsets]]\nimage_dir = '.'\nis_reg = true\n",
        b"[[datasets]]\n[[datasets.subsets]]\nimage_dir = '/etc'\n",
        b"[[datasets]]\n[[datasets.subsets]]\nimage_dir = '../..'\nmetadata_file = '../x.json'\n",
    ]),
    ("dataset.json", [b'{"datasets": [{"subsets": [{"image_dir": "b", "num_repeats": 2}]}]}']),
]
CONFIGS = ("dataset.toml", "dataset.json")
"""Those that say which folders are read."""
"""File name below the folder, and what may stand in it. The folder has a.png and b/c.png."""


@cache
def pictures() -> list[tuple[str, bytes]]:
    """Format and bytes of small pictures that together use most of what the formats have."""
    noise = np.random.default_rng(1).integers(0, 255, (24, 32, 4), dtype=np.uint8)
    rgba = Image.fromarray(noise).resize((48, 40), Image.Resampling.BICUBIC)
    rgb, grey = rgba.convert("RGB"), rgba.convert("L")
    palette, frames = rgb.quantize(16), [rgba.rotate(90 * turn) for turn in range(3)]
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Camera"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    film: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": 50}
    rgb_film = film | {"append_images": [frame.convert("RGB") for frame in frames[1:]]}
    marked = {"exif": exif, "icc_profile": icc}
    wanted: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (rgb, "PNG", marked), (rgba, "PNG", {}), (deep, "PNG", {}),
        (palette, "PNG", {"transparency": 3}), (grey.convert("LA"), "PNG", {}),
        (grey, "PNG", {"transparency": 9}), (frames[0], "PNG", film),
        (grey.convert("1"), "PNG", {}),
        (rgb, "JPEG", marked), (rgb, "JPEG", {"progressive": True}),
        (rgb.convert("CMYK"), "JPEG", {}), (grey, "JPEG", {"quality": 20}),
        (rgb, "JPEG", {"subsampling": 2, "restart_marker_blocks": 2}),
        (rgb, "WEBP", marked), (rgba, "WEBP", {"lossless": True}),
        (rgba, "WEBP", {}), (frames[0], "WEBP", film),
        (rgb, "TIFF", marked), (rgba, "TIFF", {"compression": "tiff_lzw"}), (deep, "TIFF", {}),
        (rgb, "TIFF", {"compression": "tiff_adobe_deflate"}), (rgb.convert("CMYK"), "TIFF", {}),
        (rgb, "TIFF", {"compression": "jpeg"}), (rgb, "TIFF", rgb_film),
        (grey.convert("1"), "TIFF", {"compression": "group4"}), (rgb.convert("LAB"), "TIFF", {}),
        (palette, "TIFF", {"compression": "packbits"}),
        (palette, "GIF", {"transparency": 2}), (frames[0].quantize(32), "GIF", film),
        (grey, "GIF", {}), (rgb, "BMP", {}), (palette, "BMP", {}), (rgba, "BMP", {}),
        (grey.convert("1"), "BMP", {}),
    ]
    if AVIF:
        wanted += [(rgb, "AVIF", {"exif": exif, "speed": 10}), (rgba, "AVIF", {"speed": 10})]
        wanted += [(frames[0], "AVIF", film | {"speed": 10})]
    return [(kind, _saved(image, kind, options)) for image, kind, options in wanted]


def _saved(image: Image.Image, kind: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
