"""The pages about the lint tell each rule as the code does."""

from __future__ import annotations

from lora_kiln.devtools import lint_docs


def test_both_pages_have_every_rule() -> None:
    for page, text in (
        (lint_docs.PAGE, lint_docs.table()), (lint_docs.HELP_PAGE, lint_docs.short_list())
    ):
        kept = page.read_text("utf-8")
        assert lint_docs.written(kept, text) == kept, "run: python -m devtools.lint_docs"


def test_every_rule_says_what_it_is() -> None:
    from lora_kiln.dataset.lint.finding import LEVELS
    from lora_kiln.dataset.lint.rule import rules

    for rule in rules().values():
        assert rule.doc.endswith("."), rule.name
        assert rule.levels and set(rule.levels) <= set(LEVELS), rule.name
        assert list(rule.levels) == sorted(rule.levels, key=LEVELS.index), rule.name
        assert not rule.fixes.endswith("."), rule.name
