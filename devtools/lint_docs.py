"""Writes the rules into ``docs/lint.md`` and the node's help page from the rules themselves.

    python -m devtools.lint_docs

The rest of the pages is kept; a test refuses pages that differ from the code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .load_pack import load_pack

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "lint.md"
HELP_PAGE = ROOT / "web" / "docs" / "KilnLintDataset.md"
START, END = "<!-- rules -->\n", "<!-- end -->"
NEEDS = {"tokens": "a CLIP", "vision": "a CLIP_VISION"}
LEVELS = ("error", "warning", "info")


def table() -> str:
    """Every rule, those that can stop a training first."""
    head = "| rule | level | what it finds | what its fix does | when |\n|---|---|---|---|---|\n"
    return head + "".join(_row(rule) for rule in _ordered())


def short_list() -> str:
    """Every rule in a line or two, for the help page."""
    return "".join(
        f"- **{rule.name}** ({', '.join(rule.levels)}{_wants(rule)}): {rule.doc}\n"
        for rule in _ordered()
    )


def written(page: str, rules: str) -> str:
    """A page with the rules as the code has them."""
    before, mark, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError("The page has no place for the rules")
    return before + mark + rules + end + after


def _ordered() -> list[Any]:
    from lora_kiln.dataset.lint.rule import rules

    return sorted(rules().values(), key=lambda rule: (LEVELS.index(rule.levels[0]), rule.name))


def _row(rule: Any) -> str:
    when = "looks at pixels" if rule.decodes else "at once"
    when = f"needs {NEEDS[rule.needs]}" if rule.needs else when
    cells = (f"`{rule.name}`", ", ".join(rule.levels), rule.doc, rule.fixes or "none", when)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _wants(rule: Any) -> str:
    return f"; needs {NEEDS[rule.needs]}" if rule.needs else ""


def main() -> None:
    """Write both pages."""
    load_pack()
    PAGE.write_text(written(PAGE.read_text("utf-8"), table()), "utf-8")
    HELP_PAGE.write_text(written(HELP_PAGE.read_text("utf-8"), short_list()), "utf-8")


if __name__ == "__main__":
    main()
