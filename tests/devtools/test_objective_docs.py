"""The page about objectives says what the code does."""

from __future__ import annotations

import re

from lora_kiln.devtools.objective_docs import PAGE, PICTURES, tables, written


def test_the_tables_are_those_of_the_code() -> None:
    page = PAGE.read_text("utf-8")
    assert written(page) == page, "Run: python -m devtools.objective_docs"


def test_everything_that_can_be_chosen_is_in_a_table() -> None:
    from lora_kiln.trainer.objective_settings import ObjectiveSettings

    page = PAGE.read_text("utf-8")
    for name in ("weighting", "density", "loss", "prediction"):
        field = ObjectiveSettings.__dataclass_fields__[name]
        for choice in set(field.metadata["choices"]) - {"auto"}:
            assert f"| `{choice}` |" in page, choice
    assert all(table.count("\n") > 2 for table in tables().values())


def test_its_pictures_are_there() -> None:
    named = re.findall(r"\]\(pictures/(\w+\.png)\)", PAGE.read_text("utf-8"))
    assert len(named) == 3
    assert all((PICTURES / name).is_file() for name in named)
