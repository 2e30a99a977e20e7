"""Colour profiles, checked against profiles that Pillow and this file make."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from lora_kiln.core.errors import DatasetError
from lora_kiln.dataset import icc
from lora_kiln.dataset.icc import to_srgb


def matrix_profile(columns: dict[str, tuple[float, float, float]], gamma: float) -> bytes:
    """A version 2 display profile with given colorants (D50) and one gamma (ICC.1:2001-04)."""

    def s15(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags: dict[bytes, bytes] = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"kiln\0" + bytes(79),
        b"wtpt": b"XYZ " + bytes(4) + s15(0.9642) + s15(1) + s15(0.8249),
    }
    for name, xyz in columns.items():
        tags[name.encode() + b"XYZ"] = b"XYZ " + bytes(4) + b"".join(map(s15, xyz))
        tags[name.encode() + b"TRC"] = curve
    offset, table, body = 132 + 12 * len(tags), b"", b""
    for tag, data in tags.items():
        table += tag + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = offset + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"kiln", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + s15(0.9642) + s15(1) + s15(0.8249)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


# Adobe RGB (1998), adapted to D50, gamma 2.2; its green is far outside sRGB.
ADOBE = matrix_profile(
    {
        "r": (0.60974, 0.31111, 0.01947),
        "g": (0.20528, 0.62567, 0.06087),
        "b": (0.14919, 0.06322, 0.74457),
    },
    2.19921875,
)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_adobe_rgb_is_converted() -> None:
    notes: list[str] = []
    image = Image.new("RGB", (4, 4), (180, 120, 120))
    seen = np.asarray(to_srgb(image, ADOBE, "x", notes))[0, 0].astype(int)
    # Independent: linearise, to XYZ, to linear sRGB (IEC 61966-2-1), encode.
    linear = (np.array([180, 120, 120]) / 255) ** 2.19921875
    to_xyz = np.array(
        [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
    )
    srgb_to_xyz = np.array(
        [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
    )
    out = np.linalg.solve(srgb_to_xyz, to_xyz @ linear)
    expected = 255 * (1.055 * out ** (1 / 2.4) - 0.055)
    assert np.abs(seen - expected).max() <= 2
    assert notes == [icc.NOTE_PROFILE]


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_srgb_changes_no_pixel(mode: str) -> None:
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None, :].repeat(4, 0)).convert(mode)
    notes: list[str] = []
    result = to_srgb(ramp, SRGB, "x", notes)
    assert np.array_equal(np.asarray(result), np.asarray(ramp.convert("RGB")))
    assert notes == []


def test_a_profile_for_another_kind_is_left_out_and_said() -> None:
    notes: list[str] = []
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    image = Image.new("RGB", (4, 4), (1, 2, 3))
    assert to_srgb(image, lab, "x", notes).getpixel((0, 0)) == (1, 2, 3)
    assert notes == [icc.NOTE_PROFILE_MISFIT]


def test_a_damaged_profile_is_refused_by_name() -> None:
    with pytest.raises(DatasetError, match=r"plate\.jpg has a colour profile that cannot be read"):
        to_srgb(Image.new("RGB", (4, 4)), b"not a profile", "plate.jpg", [])
