"""From what a model says to what is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.dataset.describe.answers import (
    allowed_answers,
    clean,
    first_sentence,
    the_answer,
    without_opening,
)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("The image shows a woman with a hat.", "a woman with a hat."),
        ("This picture depicts two boats.", "two boats."),
        ("In this image, there is a tree.", "a tree."),
        ("In the photo, we can see a tree.", "a tree."),
        ("In the picturesque village, a tree.", "In the picturesque village, a tree."),
        ("In this photographer's studio stands a hat.",
         "In this photographer's studio stands a hat."),
        ("In the scene a tree grows.", "a tree grows."),
        ("Sure! Here is a caption for the image: A tree.", "A tree."),
        ("Here's a description:\n\n\"A tree by the sea.\"", "A tree by the sea."),
        ("Answer: woman", "woman"),
        ("The image shows", "The image shows"),
        ("Imagery of the image shows", "Imagery of the image shows"),
        ("A drawing that shows a tree.", "A drawing that shows a tree."),
        ("<think>Hm. A tree?</think>\n\nA tree.", "A tree."),
        ("<think>never ending", ""),
        (" A  tree\nand\ta boat ", "A tree and a boat"),
        ('"Sale" says a sign, "open" another"', '"Sale" says a sign, "open" another"'),
        ("", ""),
    ],
)
def test_openings_thoughts_and_lines_go(said: str, wanted: str) -> None:
    assert clean(said) == wanted


def test_openings_can_stay() -> None:
    assert clean("The image  shows a hat.", trim_openings=False) == "The image shows a hat."


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("A tree. A boat by the", "A tree."),
        ('A sign says "Go!" Beside it st', 'A sign says "Go!"'),
        ("A tree of 3.5 metres by", "A tree of 3.5 metres by"),
        ("A tree by the", "A tree by the"),
    ],
)
def test_a_cut_off_text_ends_with_a_sentence(said: str, wanted: str) -> None:
    assert clean(said, finished=False) == wanted


@given(st.text())
def test_cleaning_twice_changes_nothing_more_and_never_empties(text: str) -> None:
    once = clean(text, trim_openings=False)
    assert without_opening(once) or not once
    assert without_opening(without_opening(once)) == without_opening(once)


ANSWERS = ["woman", "man", "child", "old man"]


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("woman", "woman"),
        ("Woman.", "woman"),
        ("The person is a WOMAN, I think", "woman"),
        ("an old man with a hat", "old man"),
        ("man or child", None),
        ("a womanly figure", None),
        ("not a man but a woman", None),
        ("", None),
    ],
)
def test_the_one_allowed_answer(said: str, wanted: str | None) -> None:
    assert the_answer(said, ANSWERS) == wanted


@given(st.sampled_from(ANSWERS), st.sampled_from(["{}", "It is a {}.", "**{}**", "{}!", "({})"]))
def test_an_allowed_answer_is_always_found(answer: str, said: str) -> None:
    assert the_answer(said.format(answer), ANSWERS) == answer


def test_lists_of_answers() -> None:
    assert allowed_answers("woman, man|child\n man,,") == ["woman", "man", "child"]
    assert allowed_answers("  ") == []


def test_first_sentences() -> None:
    assert first_sentence("A tree. A boat.") == "A tree."
    assert first_sentence("A tree of 3.5 m! A boat.") == "A tree of 3.5 m!"
    assert first_sentence("A tree") == "A tree"
