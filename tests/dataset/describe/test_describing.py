"""Descriptions and answers for a dataset, by a describer that says what colour it sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lora_kiln.core.errors import ConfigError, DatasetError, HostError
from lora_kiln.dataset.captions import ONLY_MISSING, apply_template
from lora_kiln.dataset.describe.describer import Ask, Reply, with_choice
from lora_kiln.dataset.describe.kept import KeptAnswers
from lora_kiln.dataset.describe.run import describe_dataset
from lora_kiln.dataset.describe.settings import DEFAULT_PROMPT, DescribeSettings
from lora_kiln.dataset.items import Dataset, DatasetItem, PictureArray, PictureFile

COLOURS = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250)}


def item(name: str, colour: str, caption: str | None = None) -> DatasetItem:
    pixels = np.full((90, 120, 3), COLOURS[colour], dtype=np.uint8)
    return DatasetItem(name, PictureArray(name, pixels), caption)


class Painter:
    """Looks at the mean colour."""

    name, identity, reusable = "painter", "a" * 64, True

    def __init__(self, say: Callable[[str, Ask], str] | None = None) -> None:
        self.asked: list[Ask] = []
        self.sizes: list[tuple[int, int]] = []
        self._say = say or (lambda colour, ask: f"The image shows a {colour} wall.")

    def worded(self, prompt: str, answers: Sequence[str]) -> str:
        return with_choice(prompt, answers)

    def describe(self, image: Image.Image, ask: Ask) -> Reply:
        self.asked.append(ask)
        self.sizes.append(image.size)
        mean = np.asarray(image, dtype=float).mean((0, 1))
        colour = list(COLOURS)[int(mean.argmax())]
        text = self._say(colour, ask)
        return Reply(text[: ask.max_tokens], finished=len(text) <= ask.max_tokens)

    @property
    def real(self) -> int:
        """How often it was asked about a picture of the dataset."""
        return sum(ask.text != DEFAULT_PROMPT for ask in self.asked)


class Bar:
    def __init__(self) -> None:
        self.updates: list[tuple[int, int, bool]] = []

    def update(self, done: int, total: int, *, picture: Image.Image | None = None) -> None:
        self.updates.append((done, total, picture is not None))

    def say(self, text: str) -> None:
        del text

    def check_cancelled(self) -> None:
        return

    def is_cancellation(self, error: BaseException) -> bool:
        return isinstance(error, KeyboardInterrupt)


@pytest.fixture
def describe(tmp_path: Path) -> Any:
    def run(dataset: Dataset, painter: Any, bar: Bar | None = None, **changes: Any) -> Dataset:
        settings = DescribeSettings(**({"prompt": "What is it?"} | changes))
        return describe_dataset(
            dataset, settings, painter, KeptAnswers(tmp_path / "kept"), bar or Bar()
        )

    return run


WALLS = Dataset((item("r", "red"), item("g", "green", "old"), item("b", "blue")), "walls")


def captions(dataset: Dataset) -> list[str | None]:
    return [it.caption for it in dataset.items]


def test_descriptions_lose_their_opening_and_get_the_trigger_once(describe: Any) -> None:
    painter = Painter()
    made = describe(WALLS, painter, trigger="kp")
    assert captions(made) == ["kp, a red wall.", "kp, a green wall.", "kp, a blue wall."]
    assert captions(WALLS) == [None, "old", None]
    how = made.items[0].provenance["caption"]
    assert how["raw"] == "The image shows a red wall." and how["prompt"] == "What is it?"
    assert how["model"] == "painter" and how["model_sha256"] == "a" * 64
    said = describe(WALLS, Painter(lambda c, a: f"kp {c}"), prompt="Again?", trigger="kp")
    assert captions(said)[0] == "kp red"


def test_answers_are_kept(describe: Any) -> None:
    painter, again, bar = Painter(), Painter(), Bar()
    first = describe(WALLS, painter, bar)
    assert bar.updates == [(1, 3, True), (2, 3, True), (3, 3, True)]
    bar = Bar()
    assert captions(describe(WALLS, again, bar, trigger="x"))[0] == "x, a red wall."
    assert again.asked == []
    assert bar.updates == [(1, 3, False), (2, 3, False), (3, 3, False)]
    assert captions(describe(WALLS, again)) == captions(first)
    for change in (
        {"prompt": "And now?"}, {"max_tokens": 99}, {"temperature": 0.5}, {"longest_side_px": 64},
        {"temperature": 0.5, "seed": 1}, {"temperature": 0.5, "top_p": 0.5},
    ):
        other = Painter()
        describe(WALLS, other, **change)
        assert other.real == 3, change
    # A seed decides nothing where the likeliest word is taken.
    describe(WALLS, again, seed=5)
    assert again.asked == []
    another = Painter()
    another.identity = "b" * 64
    describe(WALLS, another)
    assert another.real == 3


def test_what_cannot_be_recognised_is_not_kept(describe: Any) -> None:
    for _ in range(2):
        painter = Painter()
        painter.reusable = False
        describe(WALLS, painter)
        assert painter.real == 3


def test_a_failure_midway_keeps_what_was_answered(describe: Any, tmp_path: Path) -> None:
    torn = tmp_path / "torn.png"
    torn.write_bytes(b"\x89PNG")
    broken = DatasetItem("torn.png", PictureFile(torn, "torn.png"))
    items = (WALLS.items[0], broken, WALLS.items[1])
    with pytest.raises(DatasetError, match=r"torn\.png"):
        describe(Dataset(items, "x"), Painter())
    painter = Painter()
    describe(WALLS, painter)
    assert painter.real == 2


def test_a_damaged_answer_is_asked_again(describe: Any, tmp_path: Path) -> None:
    describe(WALLS, Painter())
    for path in (tmp_path / "kept").rglob("*.json"):
        path.write_text("{torn")
    painter = Painter()
    assert captions(describe(WALLS, painter))[0] == "a red wall."
    assert painter.real == 3


def test_a_question_fills_a_variable_for_templates(describe: Any) -> None:
    words = {"red": "It's a woman.", "green": "Man", "blue": "child"}
    painter = Painter(lambda colour, ask: words[colour])
    asked = describe(
        WALLS, painter, prompt="woman, man or child?", variable="subject",
        answers="woman, man, child", trigger="not here",
    )
    assert [it.subject for it in asked.items] == ["woman", "man", "child"]
    assert captions(asked) == [None, "old", None]
    made = apply_template(asked, "{trigger}, portrait of a {subject|lower}", trigger="laz")
    assert captions(made) == [f"laz, portrait of a {word}" for word in ("woman", "man", "child")]
    assert "Answer with one of these" in painter.asked[-1].text
    mood = describe(WALLS, painter, variable="mood")
    assert [it.columns["mood"] for it in mood.items] == list(words.values())
    assert set(mood.items[0].provenance) == {"mood"}


def test_an_answer_that_is_not_allowed_is_an_error_or_the_fallback(describe: Any) -> None:
    painter = Painter(lambda colour, ask: "a dog" if colour == "red" else colour)
    question = {"variable": "subject", "answers": "green, blue"}
    with pytest.raises(DatasetError, match=r"allowed answers for r \('a dog'\).*green, blue"):
        describe(WALLS, painter, **question)
    asked = len(painter.asked)
    made = describe(WALLS, painter, fallback="thing", **question)
    assert [it.subject for it in made.items] == ["thing", "green", "blue"]
    assert len(painter.asked) == asked
    assert made.items[0].provenance["subject"]["raw"] == "a dog"
    with pytest.raises(ConfigError, match="fallback is 'thing', and answers is empty"):
        describe(WALLS, painter, fallback="thing")
    with pytest.raises(DatasetError, match="wrote nothing about g"):
        describe(WALLS, Painter(lambda c, a: "" if c == "green" else c), prompt="?")


def test_only_missing_ones(describe: Any) -> None:
    painter = Painter()
    made = describe(WALLS, painter, apply_to=ONLY_MISSING)
    assert captions(made) == ["a red wall.", "old", "a blue wall."]
    with_subject = Dataset((replace(WALLS.items[0], subject="cat"), WALLS.items[1]), "x")
    asked = describe(with_subject, painter, apply_to=ONLY_MISSING, variable="subject")
    assert [it.subject for it in asked.items] == ["cat", "The image shows a green wall."[16:]]


def test_long_answers_end_with_a_sentence_and_are_told(describe: Any) -> None:
    painter = Painter(lambda colour, ask: f"A {colour} wall. It is very lo")
    made = describe(WALLS, painter, max_tokens=20)
    assert captions(made)[0] == "A red wall."
    assert made.notes == ("Cut off at max_tokens and shortened: r, g, b.",)
    assert describe(WALLS, painter, prompt="Short?").notes == ()


def test_a_model_that_does_not_look_is_found_out_before_the_run(describe: Any) -> None:
    blind = Painter(lambda colour, ask: "A beautiful landscape.")
    with pytest.raises(HostError, match="painter says the same about pictures"):
        describe(WALLS, blind)
    assert blind.real == 0
    seeing = Painter()
    describe(WALLS, seeing)
    # The picture and another one; once for a model, ever.
    assert len(seeing.asked) - seeing.real == 2
    describe(WALLS, seeing, prompt="More?")
    assert len(seeing.asked) - seeing.real == 2


def test_every_picture_has_its_own_draw_whatever_the_order(describe: Any) -> None:
    one, two = Painter(), Painter()
    describe(WALLS, one, temperature=0.7)
    turned = replace(WALLS, items=WALLS.items[::-1])
    describe(turned, two, temperature=0.7, prompt="What is that?")
    seeds = [ask.seed for ask in one.asked if ask.temperature]
    assert len(set(seeds)) == 3
    assert [ask.seed for ask in two.asked if ask.temperature] == seeds[::-1]


def test_large_pictures_are_shown_smaller(describe: Any) -> None:
    painter = Painter()
    describe(WALLS, painter, longest_side_px=64)
    assert painter.sizes[-1] == (64, 48)
    describe(WALLS, painter)
    assert painter.sizes[-1] == (120, 90)


@pytest.mark.parametrize("name", ["a{b", "a|b", "trigger"])
def test_variables_that_no_template_could_name(describe: Any, name: str) -> None:
    with pytest.raises(ConfigError, match="variable is"):
        describe(WALLS, Painter(), variable=name)
