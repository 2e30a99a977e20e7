"""Writes the scores into ``web/docs/KilnScoreSweep.md`` from the code itself.

    python -m devtools.score_docs

The rest of the page is kept; a test refuses a page that differs from the code.
"""

from __future__ import annotations

from pathlib import Path

from .load_pack import load_pack

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "web" / "docs" / "KilnScoreSweep.md"
START, END = "<!-- scores -->\n", "<!-- end -->"
NEEDS = {
    "base": "", "training": "dataset", "vision": "clip_vision", "text_tower": "clip",
    "trigger": "trigger",
}


def described() -> str:
    """Every score with its caveat, by title."""
    from lora_kiln.sweep.score import scores

    parts = []
    for score in sorted(scores().values(), key=lambda one: one.title):
        needs = [NEEDS[need] for need in sorted(score.needs) if NEEDS[need]]
        wants = f" Needs: {', '.join(needs)}." if needs else ""
        word = {"neither": "neither good nor bad in itself"}.get(
            score.better, f"{score.better} is better"
        )
        parts.append(
            f"### {score.title} (`{score.name}`)\n{score.doc} *{word.capitalize()}.*{wants}\n\n"
            f"**Mind:** {score.caveat}\n"
        )
    return "\n".join(parts)


def written(page: str) -> str:
    """The page with the scores as the code has them."""
    before, mark, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"{PAGE.name} has no place for the scores")
    return before + mark + described() + end + after


def main() -> None:
    """Write the page."""
    load_pack()
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
