"""Colour profiles: what another program shows is what is trained on."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

from ..core.errors import DatasetError

NOTE_PROFILE = "Colours converted from the embedded profile to sRGB"
NOTE_PROFILE_MISFIT = "Embedded colour profile is for another kind of picture, left out"
NOTE_CMYK = "CMYK without a colour profile, converted by rule of thumb"

_MODE_OF_SPACE = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
_PROBE_LEVELS = (0, 32, 64, 96, 128, 160, 192, 224, 255)
_ROUNDING = 2
"""A profile that moves no colour by more than this many of 255 levels is sRGB itself."""


def to_srgb(image: Image.Image, profile: bytes | None, name: str, notes: list[str]) -> Image.Image:
    """Bring colours to sRGB.

    Args:
        image: mode L, RGB, CMYK or LAB.
        profile: the embedded ICC profile; without one, L and RGB are taken as sRGB.
        name: the picture's name, for messages.
        notes: what was done is added here.

    Returns:
        The picture in mode RGB.

    Raises:
        DatasetError: the profile is damaged.
    """
    if not profile:
        if image.mode == "CMYK":
            notes.append(NOTE_CMYK)
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space == "RGB" and image.mode == "L":
            image = image.convert("RGB")
        if _MODE_OF_SPACE.get(space) != image.mode:
            notes.append(NOTE_PROFILE_MISFIT)
            return image.convert("RGB")
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            image.mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ImageCms.PyCMSError) as error:
        raise DatasetError(
            f"{name} has a colour profile that cannot be read ({error})",
            expected="a valid ICC profile, or none",
            remedy="Open it in a picture editor, convert it to sRGB and save it anew",
        ) from error
    if _changes_nothing(transform, image.mode):
        return image.convert("RGB")
    notes.append(NOTE_PROFILE)
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # None only when told to work in place.
    return converted


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a profile is sRGB under whatever name: then the pixels stay exactly as they are."""
    if mode not in ("L", "RGB"):
        return False
    levels = np.array(_PROBE_LEVELS, dtype=np.uint8)
    if mode == "RGB":
        grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    else:
        grid = levels[None, :]
    probe = Image.fromarray(grid)
    seen = ImageCms.applyTransform(probe, transform)
    assert seen is not None
    before = np.asarray(probe.convert("RGB")).astype(int)
    return bool(np.abs(np.asarray(seen).astype(int) - before).max() <= _ROUNDING)
