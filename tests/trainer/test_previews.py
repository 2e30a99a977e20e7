"""Preview pictures: prompts of which one is in no caption, from seeds that stay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from lora_kiln.core.protocols import SampleRequest
from lora_kiln.lora_format.training import Preview
from lora_kiln.trainer.config import TrainSettings
from lora_kiln.trainer.previews import (
    HELD_OUT_SUBJECTS,
    MOST_PROMPTS,
    Previews,
    held_out_prompt,
    preview_prompts,
)

STYLE = ["woodcut, a red circle", "woodcut, a house", "woodcut, a tree by the sea"]


class FakeSampler:
    """Paints each picture in a grey made of its seed."""

    def __init__(self) -> None:
        self.requests: list[SampleRequest] = []

    def draw(self, requests: Sequence[SampleRequest]) -> list[Image.Image]:
        self.requests += requests
        return [
            Image.new("RGB", (r.width_px, r.height_px), (r.seed % 251,) * 3) for r in requests
        ]


def test_the_held_out_prompt_has_their_manner_and_none_of_their_subjects() -> None:
    prompt = held_out_prompt(STYLE)
    assert prompt == f"woodcut, {HELD_OUT_SUBJECTS[0]}"
    taken = [*STYLE, *(f"woodcut, {subject}" for subject in HELD_OUT_SUBJECTS[:2])]
    assert held_out_prompt(taken) == f"woodcut, {HELD_OUT_SUBJECTS[2]}"
    every = [*STYLE, *(f"woodcut, {subject}" for subject in HELD_OUT_SUBJECTS)]
    assert held_out_prompt(every) not in every
    assert held_out_prompt(every).startswith("woodcut, ")


def test_captions_without_a_common_beginning() -> None:
    assert held_out_prompt(["red, round", "blue, round"]) == HELD_OUT_SUBJECTS[0]
    assert held_out_prompt(["woodcut, a house"]) == HELD_OUT_SUBJECTS[0]
    assert held_out_prompt(["", "a, b"]) == HELD_OUT_SUBJECTS[0]
    assert held_out_prompt(["a, b, cat", "a, b, car"]) == f"a, b, {HELD_OUT_SUBJECTS[0]}"


def test_own_prompts_come_first() -> None:
    own = TrainSettings(preview_prompts="  a cat \n\n a dog\n")
    assert preview_prompts(own, STYLE) == ["a cat", "a dog"]
    many = TrainSettings(preview_prompts="\n".join(map(str, range(20))))
    assert len(preview_prompts(many, STYLE)) == MOST_PROMPTS
    assert preview_prompts(TrainSettings(), STYLE) == [STYLE[0], held_out_prompt(STYLE)]


def test_the_same_seeds_at_every_step_and_the_pictures_are_kept(tmp_path: Path) -> None:
    sampler = FakeSampler()
    previews = Previews(
        sampler=sampler,
        prompts=["a cat", "ein Bär"],
        usual=Preview(),
        settings=TrainSettings(seed=5, preview_steps=3, preview_cfg=2.5),
        folder=tmp_path,
        size_px=(16, 24),
    )
    sheet = previews.draw(0)
    assert sheet.size == (32, 24)
    assert previews.draw(250).tobytes() == sheet.tobytes()
    first, second = sampler.requests[:2]
    assert sampler.requests[2:] == [first, second]
    assert first.seed != second.seed
    assert (first.steps, first.cfg, first.negative) == (3, 2.5, "")
    names = [f"step_{step:06d}_{index}.png" for step in (0, 250) for index in (0, 1)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    with Image.open(tmp_path / "step_000250_1.png") as picture:
        assert picture.info["kiln_prompt"] == "ein Bär"
        assert picture.info["kiln_step"] == "250"
