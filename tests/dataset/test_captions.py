"""Templates: what is written is what is trained."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.core.errors import ConfigError, DatasetError
from lora_kiln.dataset.captions import ONLY_MISSING, apply_template
from lora_kiln.dataset.items import Dataset, DatasetItem, PictureArray

PIXELS = np.zeros((2, 2, 3), dtype=np.uint8)


def item(
    name: str, caption: str | None = None, subject: str | None = None, **columns: str
) -> DatasetItem:
    return DatasetItem(name, PictureArray(name, PIXELS), caption, subject, columns=columns)


def captions(dataset: Dataset, template: str, **options: str) -> list[str | None]:
    return [it.caption for it in apply_template(dataset, template, **options).items]


def test_variables_braces_and_the_portraitists_template() -> None:
    dataset = Dataset(
        (item("a", "ink, 1910", "man", mood="calm"), item("b", "wash", None, mood="{stern}")), "x"
    )
    written = captions(
        dataset,
        "{trigger}, a {mood} portrait of a { subject }, {{not a variable}}, {caption}",
        trigger=" laz ",
        default_subject="woman",
    )
    assert written == [
        "laz, a calm portrait of a man, {not a variable}, ink, 1910",
        "laz, a {stern} portrait of a woman, {not a variable}, wash",
    ]
    assert dataset.items[0].caption == "ink, 1910"


def test_pictures_with_captions_can_keep_them() -> None:
    dataset = Dataset((item("a", "kept"), item("b"), item("c", "")), "x")
    assert captions(dataset, "new", mode=ONLY_MISSING) == ["kept", "new", "new"]
    assert captions(dataset, "new") == ["new", "new", "new"]
    with pytest.raises(ConfigError, match="mode"):
        captions(dataset, "new", mode="some")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{subject}", r"\{subject\} has no value for b, c, d and 1 more.*default subject"),
        ("{trigger}", r"\{trigger\} has no value for a, b, c and 2 more.*Fill in the trigger"),
        ("{caption}", r"\{caption\} has no value for a, b, c and 2 more.*\.txt"),
        ("{mood}", r"\{mood\} has no value for a, c, d and 1 more.*\{mood\}\. Add a column"),
        ("{moood}", r"\{moood\} has no value for a, b.*\{\{moood\}\}"),
        ("{red|blue}", r"\{red\|blue\} has no value"),
        ("{x} {y}", r"\{x\} has no value for a, .*nor have \{y\}"),
    ],
)
def test_an_unresolved_variable_names_the_pictures(template: str, message: str) -> None:
    dataset = Dataset(
        (item("a", subject="man"), item("b", mood="calm"), *map(item, ("c", "d", "e"))), "x"
    )
    with pytest.raises(DatasetError, match=message):
        apply_template(dataset, template)


@pytest.mark.parametrize("template", ["", "  ", "{", "a } b", "{}", "{ }", "{a{b}}", "{{a}"])
def test_malformed_templates_are_refused(template: str) -> None:
    with pytest.raises(ConfigError, match="template"):
        apply_template(Dataset((item("a"),), "x"), template)


@given(st.text(min_size=1))
def test_escaped_text_comes_out_literally(text: str) -> None:
    if not text.strip():
        return
    escaped = text.replace("{", "{{").replace("}", "}}")
    assert captions(Dataset((item("a"),), "x"), escaped) == [text.strip()]


@given(st.text(min_size=1).filter(str.strip))
def test_values_are_never_read_as_templates(text: str) -> None:
    assert captions(Dataset((item("a", text),), "x"), "<{caption}>") == [f"<{text}>"]


def test_what_a_template_did_is_remembered() -> None:
    """A caption that it left out did not make the new one."""
    tagged = dataclasses.replace(item("a.png", "hat"), provenance={"caption": {"by": "tagger"}})
    dataset = Dataset((tagged, item("b.png", "t, cat")), "d")
    done = {"template": "{trigger}, {caption}", "trigger": "t"}
    kept = apply_template(dataset, done["template"], trigger="t").items
    assert kept[0].provenance == {"caption": {"by": "tagger", "edits": [done]}}
    replaced = apply_template(dataset, "t, cat").items
    assert replaced[0].provenance["caption"] == {"edits": [{"template": "t, cat", "trigger": ""}]}
    assert replaced[1].provenance == {}
