"""Each score on pictures and vectors whose answer is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from lora_kiln.sweep.score import Scored, ScoreInput, compute_scores, scores
from lora_kiln.sweep.scores.colour_drift import colour_distance
from lora_kiln.sweep.scores.trigger_leak import has_word, without_word
from lora_kiln.tests.sweep.score_cases import (
    blobs,
    make_input,
    make_plan,
    unit,
    vectors_input,
)


def run(name: str, given: ScoreInput) -> Scored:
    return scores()[name].compute(given)


def test_every_score_says_what_it_is_and_what_it_is_not() -> None:
    known = scores()
    assert len(known) == 10
    for name, score in known.items():
        assert name == score.name
        assert len(score.doc) > 60
        assert len(score.caveat) > 60
        assert score.better in {"higher", "lower", "neither"}


def test_what_is_not_connected_is_left_out_and_named() -> None:
    plan = make_plan()
    found, notes = compute_scores(make_input(plan, {0: blobs(1), 1: blobs(2)}))
    assert set(found) == {"burn", "effect_size", "structure"}
    text = "\n".join(notes)
    for title, reason in (
        ("Likeness", "no dataset"), ("Prompt kept", "no vision model"), ("Trigger leak", "trigger"),
        ("Memorisation", "no dataset"),
    ):
        assert any(title in note and reason in note for note in notes), text
    assert "Diversity needs at least two seeds" in text


def test_a_cell_without_a_picture_or_a_base_has_no_scores() -> None:
    plan = make_plan((0.0, 0.5, 1.0), seeds=(1, 2))
    pictures = {index: blobs(index) for index in (0, 2, 5)}
    given = make_input(plan, pictures, {"one": blobs(9), "two": blobs(8)})
    found, _ = compute_scores(given)
    assert set(found["effect_size"].values) == {0, 2}
    assert set(found["likeness"].values) == {0, 2, 5}


def test_effect_and_consistency() -> None:
    plan = make_plan((0.0, 1.0), seeds=(1, 2, 3))
    # Bases are x, the LoRA turns all of them to y, or one of them to -y.
    same = vectors_input(plan, {n: (1, 0) if n < 3 else (0, 1) for n in range(6)})
    far = {n: 0.0 if n < 3 else np.sqrt(2) for n in range(6)}
    assert run("effect_size", same).values == pytest.approx(far)
    assert run("consistency", same).values == pytest.approx(dict.fromkeys((3, 4, 5), 1.0))
    split = vectors_input(
        make_plan((0.0, 1.0), seeds=(1, 2)), {0: (1, 0), 1: (1, 0), 2: (0, 1), 3: (0, -1)}
    )
    # The moves are (-1, 1) and (-1, -1): at right angles.
    assert run("consistency", split).values == pytest.approx({2: 0.0, 3: 0.0})


def test_likeness_is_the_mean_and_the_gain_is_over_the_base() -> None:
    given = vectors_input(make_plan(), {0: (1, 0), 1: (0, 1)}, [(0, 1), (1, 1)])
    found = run("likeness", given)
    half = np.sqrt(0.5)
    assert found.values == pytest.approx({0: half / 2, 1: (1 + half) / 2})
    assert found.details["gain"][1] == pytest.approx(0.5)
    assert found.details["nearest"] == pytest.approx({0: half, 1: 1.0})


def test_prompt_is_the_cosine_to_the_text() -> None:
    texts = {"a boat": unit((1, 1))}
    given = vectors_input(make_plan(), {0: (1, 0), 1: (1, 1)}, texts=texts)
    found = run("prompt", given)
    assert found.values == pytest.approx({0: np.sqrt(0.5), 1: 1.0})
    assert found.details["gain"][1] == pytest.approx(1 - np.sqrt(0.5))


def test_diversity_is_over_seeds_and_else_over_prompts() -> None:
    seeds = vectors_input(
        make_plan((0.0, 1.0), seeds=(1, 2)), {0: (1, 0), 1: (0, 1), 2: (1, 0), 3: (1, 0)}
    )
    found = run("diversity", seeds)
    assert found.values == pytest.approx({0: 1.0, 1: 1.0, 2: 0.0, 3: 0.0}, abs=1e-9)
    assert found.details["vendi"] == pytest.approx({0: 2.0, 1: 2.0, 2: 1.0, 3: 1.0})
    assert found.details["of_base"] == pytest.approx({0: 1.0, 1: 1.0, 2: 0.0, 3: 0.0}, abs=1e-9)
    prompts = vectors_input(
        make_plan((0.0, 1.0), prompts=("a", "b")), {0: (1, 0), 1: (1, 0), 2: (0, 1), 3: (1, 0)}
    )
    assert run("diversity", prompts).values == pytest.approx({0: 1, 2: 1, 1: 0, 3: 0}, abs=1e-9)


def contrast(factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda picture: ImageEnhance.Contrast(picture).enhance(factor)


def test_burn_rises_with_contrast_and_clipping_and_not_with_their_lack() -> None:
    plan, plain = make_plan((0.0, 0.5, 1.0, 1.5, 2.0)), blobs(3)
    steps = [contrast(factor)(plain) for factor in (1, 0.5, 1.5, 3, 8)]
    found = run("burn", make_input(plan, dict(enumerate(steps))))
    values = [found.values[index] for index in range(5)]
    assert values[:2] == [0.0, 0.0]
    assert 0.05 < values[2] < values[3] < values[4]
    assert found.details["clipped"][4] > 0.4
    assert found.details["contrast"][2] == pytest.approx(1.5, abs=0.15)


def test_what_the_training_set_has_itself_is_not_burn() -> None:
    plan, plain = make_plan(), blobs(3)
    pictures = {0: plain, 1: contrast(3)(plain)}
    alone = run("burn", make_input(plan, pictures)).values[1]
    hard = {str(n): contrast(3)(blobs(n)) for n in (3, 4, 5)}
    assert run("burn", make_input(plan, pictures, hard)).values[1] < alone / 3


def test_colours_toward_past_and_away() -> None:
    def flat(*rgb: int) -> Image.Image:
        return Image.new("RGB", (32, 32), rgb)

    plan = make_plan((0.0, 0.2, 0.5, 1.0, 1.5, 2.0))
    pictures = [flat(g, g, g) for g in (60, 60, 100, 140, 180)] + [flat(150, 0, 0)]
    training = {"a": flat(140, 140, 140)}
    found = run("colour_drift", make_input(plan, dict(enumerate(pictures)), training))
    assert [found.details["word"][n] for n in range(6)] == [
        "still", "still", "toward", "toward", "past", "away",
    ]
    assert found.values[1] == 0.0
    assert found.values[2] < found.values[1]
    assert found.details["way"][3] == pytest.approx(1.0, abs=1e-3)
    assert found.details["aside"][3] == pytest.approx(0.0, abs=0.05)
    assert found.details["aside"][5] > 20


def test_equal_colours_in_other_places_are_no_drift() -> None:
    plan, picture = make_plan(), blobs(5)
    given = make_input(plan, {0: blobs(6), 1: picture.rotate(180)}, {"a": picture})
    found = run("colour_drift", given)
    before = colour_distance(given.looks[0].colours, given.training[0].look.colours)
    assert found.values[1] == pytest.approx(-before, abs=0.01)
    assert found.details["way"][1] == pytest.approx(1.0, abs=1e-3)


def test_structure_is_kept_by_tint_and_lost_by_another_picture() -> None:
    plan = make_plan((0.0, 0.5, 1.0, 1.5))
    tinted = ImageEnhance.Color(blobs(1)).enhance(0.2)
    pictures = {0: blobs(1), 1: tinted, 2: blobs(2), 3: ImageOps.invert(blobs(1))}
    found = run("structure", make_input(plan, pictures))
    assert found.values[0] == pytest.approx(1.0)
    assert found.values[1] > 0.85
    assert found.values[2] < 0.6
    assert found.values[3] < 0.4
    # 96 pixels: the largest size is the picture's own, and none is twice the same.
    assert set(found.details) == {"96px", "64px"}


SET = {f"{n}.png": blobs(n) for n in range(10, 18)}


def alter(name: str) -> Image.Image:
    """The training picture 12.png as a LoRA might draw it again."""
    picture = SET["12.png"]
    noise = np.random.default_rng(0).normal(0, 12, (96, 96, 3))
    return {
        "same": picture,
        "noisy": Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8)),
        "mirrored": ImageOps.mirror(picture),
        "cropped": picture.crop((10, 0, 96, 86)).resize((96, 96)),
        "tinted": ImageEnhance.Brightness(picture).enhance(0.7),
        "larger": picture.resize((256, 256)),
    }[name]


@pytest.mark.parametrize("how", ["same", "noisy", "mirrored", "cropped", "tinted", "larger"])
def test_a_copy_is_flagged_with_its_original(how: str) -> None:
    given = make_input(make_plan(), {0: blobs(1), 1: alter(how)}, SET)
    found = run("memorisation", given)
    assert found.values[1] > 0.8
    assert found.details["picture"][1] == "12.png"
    assert found.details["flag"][1] == "copy"
    assert "cell 1 from 12.png" in found.notes[0]


def test_a_copy_in_the_middle_of_a_wider_picture_is_found() -> None:
    wide = Image.new("RGB", (144, 96), (120, 120, 120))
    wide.paste(SET["12.png"], (24, 0))
    found = run("memorisation", make_input(make_plan(), {0: blobs(1), 1: wide}, SET))
    assert (found.details["flag"][1], found.details["picture"][1]) == ("copy", "12.png")


def test_other_pictures_of_the_same_kind_are_not_flagged() -> None:
    plan = make_plan((0.0, *(0.1 * n for n in range(1, 20))))
    pictures = {n: blobs(100 + n) for n in range(20)}
    found = run("memorisation", make_input(plan, pictures, SET))
    assert 0 not in found.values
    assert max(found.values.values()) < 0.3
    assert not any(found.details["flag"].values())
    assert found.notes == ()


def test_an_alike_set_raises_the_threshold_and_twins_do_not() -> None:
    """Where all training pictures are alike, so is what is drawn after them."""
    chance = np.random.default_rng(1)
    common = chance.normal(0, 40, (6, 6, 3))

    def variant() -> Image.Image:
        own = (110 + common + chance.normal(0, 22, (6, 6, 3))).clip(0, 255).astype(np.uint8)
        return Image.fromarray(own).resize((96, 96), Image.Resampling.BICUBIC)

    narrow = {str(n): variant() for n in range(6)}
    new = run("memorisation", make_input(make_plan(), {0: blobs(1), 1: variant()}, narrow))
    assert new.details["likeness"][1] > 0.55
    assert new.details["flag"][1] == ""
    twins = {"first": SET["12.png"], "second": alter("noisy"), **SET}
    copied = run("memorisation", make_input(make_plan(), {0: blobs(1), 1: SET["12.png"]}, twins))
    assert copied.details["flag"][1] == "copy"


def test_what_the_model_draws_alone_is_not_memorised_by_the_lora() -> None:
    known = make_input(make_plan(), {0: SET["12.png"], 1: alter("noisy")}, SET)
    assert run("memorisation", known).details["flag"][1] == ""
    one = make_input(make_plan(), {0: blobs(1), 1: SET["12.png"]}, {"only": SET["12.png"]})
    found = run("memorisation", one)
    assert found.details["flag"][1] == "copy"
    assert "one training picture" in found.notes[-1]


def test_an_empty_picture_is_no_copy() -> None:
    grey = Image.new("RGB", (64, 64), (128, 128, 128))
    found = run("memorisation", make_input(make_plan(), {0: blobs(1), 1: grey}, SET))
    assert found.values[1] == 0.0


def test_a_vision_model_gives_a_second_opinion() -> None:
    training = [(1, 0, 0), (0.6, 0.8, 0), (0.6, 0, 0.8)]
    near = vectors_input(make_plan(), {0: (0, 1, 1), 1: (0.999, 0.04, 0)}, training)
    found = run("memorisation", near)
    assert found.details["vision"][1] > 0.9
    assert (found.details["flag"][1], found.details["picture"][1]) == ("copy", "0")
    far = vectors_input(make_plan(), {0: (0, 1, 1), 1: (0.3, 0.6, -0.7)}, training)
    assert run("memorisation", far).details["flag"][1] == ""


def test_trigger_leak_compares_the_same_prompt_with_and_without() -> None:
    prompts = ("kilnprint, a boat", "a boat", "a tree")
    plan = make_plan((0.0, 1.0), prompts=prompts)
    # Likeness is the second component: the LoRA brings .8 with the trigger, .4 and .2 without.
    moved = {1: 0.8, 3: 0.4, 5: 0.2}
    vectors = {n: (np.sqrt(1 - moved.get(n, 0) ** 2), moved.get(n, 0.0)) for n in range(6)}
    found = run("trigger_leak", vectors_input(plan, vectors, [(0, 1)], trigger="kilnprint"))
    assert found.values == pytest.approx({3: 0.5, 5: 0.25})
    assert "same prompt" in found.notes[0]
    missing = run("trigger_leak", vectors_input(plan, vectors, [(0, 1)], trigger="other"))
    assert missing.values == {}
    assert "'other'" in missing.notes[0]


@pytest.mark.parametrize(
    ("prompt", "without"),
    [
        ("kilnprint, a boat", "a boat"), ("a boat, Kilnprint", "a boat"),
        ("a kilnprint of a boat", "a of a boat"), ("kilnprints", "kilnprints"), ("", ""),
    ],
)
def test_the_trigger_is_found_as_a_word(prompt: str, without: str) -> None:
    assert without_word(prompt, "kilnprint") == without
    assert has_word(prompt, "kilnprint") == (prompt != without)
    assert without_word(prompt, "") == prompt
