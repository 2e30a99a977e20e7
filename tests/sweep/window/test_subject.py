"""The score of a picture against the one it began as."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from lora_kiln.sweep.window.subject import (
    SubjectScore,
    scrambled,
    structure_embedding,
    subject_score,
)


def house(left: int = 40, roof: str = "#803020") -> Image.Image:
    picture = Image.new("RGB", (160, 128), "#9cc8e8")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 90, 160, 128), fill="#4c8a3c")
    draw.rectangle((left, 60, left + 50, 100), fill="#e8dcc0")
    draw.polygon([(left - 8, 60), (left + 25, 30), (left + 58, 60)], fill=roof)
    draw.ellipse((left + 70, 8, left + 90, 28), fill="#f0c040")
    return picture


def noise(seed: int) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((160, 128), Image.Resampling.BICUBIC)


@pytest.fixture
def scorer() -> SubjectScore:
    made = subject_score(None)
    made.add_base("a house", 5.0, 0, house(40))
    made.add_base("a house", 5.0, 1, house(12, "#306080"))
    return made


def score(scorer: SubjectScore, picture: Image.Image) -> float:
    return scorer.score("a house", 5.0, 0, picture)


def test_the_same_picture_is_one_and_unrelated_ones_are_about_zero(scorer: SubjectScore) -> None:
    assert score(scorer, house(40)) == pytest.approx(1.0)
    assert np.mean([score(scorer, noise(seed)) for seed in range(8)]) < 0.12
    assert score(scorer, scrambled(house(40), 7)) < 0.2


def test_colour_and_light_cost_little_and_destruction_much(scorer: SubjectScore) -> None:
    toned = ImageEnhance.Brightness(ImageOps.grayscale(house()).convert("RGB")).enhance(0.7)
    assert score(scorer, toned) > 0.85
    mixed = [Image.blend(house(), noise(3), share) for share in (0.0, 0.3, 0.6, 0.9)]
    scores = [score(scorer, picture) for picture in mixed]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] < 0.3


def test_sizes_do_not_matter() -> None:
    small, large = house(), house().resize((640, 512), Image.Resampling.BICUBIC)
    cosine = structure_embedding(small) @ structure_embedding(large)
    assert cosine > 0.9
    assert np.linalg.norm(structure_embedding(small)) == pytest.approx(1.0)


def test_a_blank_picture_has_a_score_too(scorer: SubjectScore) -> None:
    blank = Image.new("RGB", (64, 64), "white")
    assert score(scorer, blank) == pytest.approx(0.0, abs=0.05)
    scorer.add_base("", 5.0, 9, blank)
    assert np.isfinite(scorer.score("", 5.0, 9, house()))


def test_an_embedding_that_knows_subjects_has_its_floor_among_other_prompts() -> None:
    """Other seeds of the same prompt show the same subject: they are not unrelated."""
    colors = {"house": (1.0, 0.2), "boat": (0.2, 1.0)}

    def embed(picture: Image.Image) -> np.ndarray:
        return np.array(picture.getpixel((0, 0)), dtype=float)[:2]

    def picture(name: str) -> Image.Image:
        red, green = colors[name]
        return Image.new("RGB", (16, 16), (round(red * 255), round(green * 255), 0))

    made = subject_score(embed)
    for seed in (0, 1):
        made.add_base("house", 5.0, seed, picture("house"))
    alone = made.floor("house", 5.0, 0)
    made.add_base("boat", 5.0, 0, picture("boat"))
    assert made.floor("house", 5.0, 0) < alone
    assert made.score("house", 5.0, 0, picture("house")) == pytest.approx(1.0)
