"""How pictures are brought to training sizes: what a person may set."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..core.errors import ConfigError
from ..core.settings import setting, validate

MIN_STEPS = 4
"""No side of a bucket is shorter than this many steps, and no picture's either."""
MIN_RESOLUTION_STEPS = 8
"""With fewer, hardly any shape but the square would be left."""
FULL_RESOLUTION_PX = 768
"""From here on a model is trained about as it was made."""
MOST_RESOLUTIONS = 8


@dataclass(frozen=True, kw_only=True)
class ShapeSettings:
    """Which shapes there are, at any resolution."""

    step_px: int = setting(
        0,
        doc="Sides are multiples of this many pixels; a multiple of 16. 0 chooses 64 from a "
        "resolution of 768 on, 32 from 384 on, else 16. Smaller cuts less off, but makes more "
        "different sizes, which cannot share a batch.",
        minimum=0,
        maximum=128,
        step=16,
        advanced=True,
    )
    upscale: bool = setting(
        False,
        doc="Enlarge pictures that are smaller than the resolution. Off, they are trained at "
        "their own size, so the LoRA does not learn the blur of enlarged pictures.",
    )
    max_aspect: float = setting(
        4.0,
        doc="Longest allowed shape, long side by short side. Longer pictures are cut to it. "
        "SDXL was trained up to 4.",
        minimum=1.0,
        maximum=8.0,
        step=0.5,
        advanced=True,
    )
    min_side_px: int = setting(
        0,
        doc="No bucket has a side shorter than this many pixels. 0 leaves it to max_aspect.",
        minimum=0,
        maximum=4096,
        step=16,
        advanced=True,
    )
    max_side_px: int = setting(
        0,
        doc="No bucket has a side longer than this many pixels, for models that draw longer "
        "ones badly. 0 leaves it to max_aspect.",
        minimum=0,
        maximum=8192,
        step=16,
        advanced=True,
    )

    def __post_init__(self) -> None:
        validate(self)
        if self.step_px % 16:
            raise ConfigError(
                f"step_px is {self.step_px}",
                expected="0 or a multiple of 16, which every model family can take",
                remedy="Set step_px to 0, 16, 32 or 64",
            )


@dataclass(frozen=True, kw_only=True)
class BucketSettings(ShapeSettings):
    """How pictures are brought to training sizes of one resolution."""

    resolution_px: int = setting(
        1024,
        doc="Side of a square with the area that is trained at, in pixels. Other shapes get "
        "the same area: 1024 makes 832 x 1216 of a portrait. SDXL was trained at 1024.",
        minimum=128,
        maximum=4096,
        step=64,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resolution_px < MIN_RESOLUTION_STEPS * self.step:
            raise ConfigError(
                f"resolution_px is {self.resolution_px} with steps of {self.step} pixels",
                expected=f"a resolution of at least {MIN_RESOLUTION_STEPS} steps",
                remedy="Raise resolution_px or set step_px to 0",
            )
        if not self._sides_leave_a_bucket():
            raise ConfigError(
                f"min_side_px is {self.min_side_px} and max_side_px is {self.max_side_px}",
                expected=f"0, or room for a square of about {self.resolution_px} pixels between",
                remedy="Set both to 0, or to less and more than the resolution",
            )

    def _sides_leave_a_bucket(self) -> bool:
        longest = self.max_side_px or 8192
        return self.min_side_px <= self.resolution_px - self.step and (
            longest >= self.resolution_px
        )

    @property
    def step(self) -> int:
        """The step in pixels, chosen from the resolution where it is left at 0."""
        return self.step_px or usual_step(self.resolution_px)

    @property
    def smallest_side_px(self) -> int:
        """Pictures with a shorter side are refused."""
        return self.step if self.upscale else MIN_STEPS * self.step


@dataclass(frozen=True, kw_only=True)
class BucketChoices(ShapeSettings):
    """What a person chooses beside the resolution, which every training node asks for."""

    more_resolutions: str = setting(
        "",
        doc="Train every picture at these resolutions too, as 768, 512. A model that has seen a "
        "style at several sizes draws it at several sizes. Pictures are never enlarged for it "
        "unless upscale is on.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.more()

    def more(self) -> tuple[int, ...]:
        """The further resolutions, px, in the order given.

        Raises:
            ConfigError: one is not a number that can be a resolution, or there are too many.
        """
        words = self.more_resolutions.replace(",", " ").split()
        if len(words) > MOST_RESOLUTIONS or not all(word.isdecimal() for word in words):
            raise ConfigError(
                f"more_resolutions is {self.more_resolutions!r}",
                expected=f"up to {MOST_RESOLUTIONS} numbers of pixels with commas between",
                remedy="Write for example: 768, 512",
            )
        return tuple(dict.fromkeys(int(word[:6]) for word in words))

    def at(self, resolution_px: int, family_step_px: int = 64) -> tuple[BucketSettings, ...]:
        """The buckets of every resolution, the first that of the training node.

        Args:
            resolution_px: of the training node.
            family_step_px: the family's own step; taken where it is finer than the usual one,
                since it cuts less off.

        Raises:
            ConfigError: a resolution is out of its range, or the sides leave no bucket.
        """
        resolutions = dict.fromkeys((resolution_px, *self.more()))
        return tuple(self._at(resolution, family_step_px) for resolution in resolutions)

    def _at(self, resolution_px: int, family_step_px: int) -> BucketSettings:
        shape = {item.name: getattr(self, item.name) for item in fields(ShapeSettings)}
        if not self.step_px and family_step_px < usual_step(resolution_px):
            shape["step_px"] = family_step_px
        return BucketSettings(resolution_px=resolution_px, **shape)


def usual_step(resolution_px: int) -> int:
    """The step in pixels that suits a resolution."""
    if resolution_px >= FULL_RESOLUTION_PX:
        return 64
    return 32 if resolution_px >= 384 else 16
