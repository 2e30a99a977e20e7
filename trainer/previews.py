"""Preview pictures: fixed prompts and seeds, so that what changes is what was learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from PIL import Image, PngImagePlugin

from ..core import atomic
from ..core.protocols import Sampler, SampleRequest
from ..core.seeds import derive_seed
from ..lora_format.training import Preview
from .config import TrainSettings

HELD_OUT_SUBJECTS = ("a lighthouse by the sea", "a boat on the sea under the sun", "a castle")
MOST_PROMPTS = 8


def preview_prompts(settings: TrainSettings, captions: Sequence[str]) -> list[str]:
    """The person's prompts, or the first caption and a subject that no caption names."""
    own = [line.strip() for line in settings.preview_prompts.splitlines() if line.strip()]
    if own:
        return own[:MOST_PROMPTS]
    return [captions[0], held_out_prompt(captions)]


def held_out_prompt(captions: Sequence[str]) -> str:
    """A prompt in the manner of the captions, about something that is in none of them."""
    start = common_beginning(captions)
    known = set(captions)
    candidates = [f"{start}{subject}" for subject in HELD_OUT_SUBJECTS]
    fallback = f"{candidates[0]} at dawn"
    return next((prompt for prompt in candidates if prompt not in known), fallback)


def common_beginning(captions: Sequence[str]) -> str:
    """What all captions begin with, up to its last comma: most often the trigger word."""
    first, last = min(captions), max(captions)
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    head, comma, _ = "".join(letter for letter, _ in pairs).rpartition(",")
    return f"{head}, " if comma and len(captions) > 1 else ""


@dataclass
class Previews:
    """Draws the preview pictures of a run.

    Attributes:
        sampler: draws with the model as it stands, adapter included.
        prompts: what to draw.
        settings: steps, CFG and seed.
        usual: what suits the kind of model, where the settings leave it open.
        folder: where the pictures are kept.
        size_px: width and height.
    """

    sampler: Sampler
    prompts: Sequence[str]
    settings: TrainSettings
    usual: Preview
    folder: Path
    size_px: tuple[int, int]

    def draw(self, step: int) -> Image.Image:
        """Draw, keep and return the pictures of a step, side by side."""
        width, height = self.size_px
        requests = [
            SampleRequest(
                prompt=prompt,
                negative="",
                seed=derive_seed(self.settings.seed, index, "preview") % 2**32,
                steps=self.settings.preview_steps or self.usual.steps,
                cfg=self.settings.preview_cfg or self.usual.cfg,
                sampler=self.usual.sampler,
                scheduler=self.usual.scheduler,
                width_px=width,
                height_px=height,
            )
            for index, prompt in enumerate(self.prompts)
        ]
        pictures = self.sampler.draw(requests)
        for index, (picture, request) in enumerate(zip(pictures, requests, strict=True)):
            path = self.folder / f"step_{step:06d}_{index}.png"
            atomic.write_bytes(path, _png(picture, request, step))
        return side_by_side(pictures)


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """One row of pictures."""
    sheet = Image.new("RGB", (sum(p.width for p in pictures), max(p.height for p in pictures)))
    left = 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width
    return sheet


def _png(picture: Image.Image, request: SampleRequest, step: int) -> bytes:
    from io import BytesIO

    info = PngImagePlugin.PngInfo()
    info.add_itxt("kiln_prompt", request.prompt)
    info.add_text("kiln_step", str(step))
    info.add_text("kiln_seed", str(request.seed))
    buffer = BytesIO()
    picture.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()
