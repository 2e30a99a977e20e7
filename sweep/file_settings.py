"""Which files a sweep writes."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.settings import setting, validate
from .axis import axes
from .picture_format import PictureFormat, picture_formats

AUTO, NONE = "auto", "none"


def _format_doc() -> str:
    listed = "; ".join(f"{name}: {own.doc}" for name, own in picture_formats().items())
    return f"Format of the grid and of the single pictures. {listed}."


@dataclass(frozen=True, kw_only=True)
class SweepFileSettings:
    """What is written beside the table."""

    picture_format: str = setting(
        "png", doc=_format_doc(), choices=tuple(picture_formats()), advanced=True
    )
    picture_quality: int = setting(
        92,
        doc="Quality of jpeg and webp pictures, from 1 (smallest file) to 100. png and "
        "webp_lossless are exact.",
        minimum=1,
        maximum=100,
        step=1,
        advanced=True,
    )
    diff_view: bool = setting(
        True,
        doc="Draw the grid once more with how far each pixel is from the picture without the "
        "LoRA, all else equal.",
        advanced=True,
    )
    strip_axis: str = setting(
        AUTO,
        doc="The axis that the animated strip runs through. auto: strength, or else the columns.",
        choices=(AUTO, NONE, *axes()),
        advanced=True,
    )

    def __post_init__(self) -> None:
        validate(self)

    @property
    def format(self) -> PictureFormat:
        """Of the grid and of the single pictures."""
        return picture_formats()[self.picture_format]
