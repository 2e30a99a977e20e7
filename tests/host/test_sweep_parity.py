"""A sweep's cells equal stock Load LoRA, text and KSampler nodes, whatever is combined.

Pairwise in every run: each sampler with both families, and nearly every pair of scheduler, kind of
LoRA, MODEL patch and CFG. Exhaustive by ``make test-full``: every sampler with every scheduler.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

LIMIT = 1e-4
PARTS = 8


def expected_ways(row: Any) -> tuple[set[str], str]:
    """How such a row must be drawn, and a word of the reason."""
    from lora_kiln.host.cell_noise import BATCHABLE_SAMPLERS

    if row.sampler not in BATCHABLE_SAMPLERS:
        return {"alone"}, "keep cells apart"
    if row.patch == "perturbed":
        return {"alone"}, "the MODEL carries"
    words = {"dora": "DoRA", "oft": "oft", "loha": "loha"}
    if row.kind in words:
        return {"batched", "patched"}, words[row.kind]
    return {"batched"}, ""


def check(row: Any, comfy: Path) -> str:
    """What is wrong with a row; empty when nothing is."""
    from lora_kiln.tests.host import sweep_rows

    drawn = sweep_rows.draw(row, comfy)
    ways, word = expected_ways(row)
    # The patched cells' neighbour at strength 0 has nothing to patch.
    if not drawn.ways <= ways or (word and not any(word in reason for reason in drawn.reasons)):
        return f"{row}: drawn {sorted(drawn.ways)} because of {sorted(drawn.reasons)}"
    return "" if drawn.worst <= LIMIT else f"{row}: differs by {drawn.worst:.1e}"


@pytest.mark.parametrize("part", range(PARTS))
def test_pairs_of_everything_equal_stock(comfy: Path, part: int) -> None:
    from lora_kiln.tests.host import sweep_rows

    rows = sweep_rows.pairwise_rows()
    assert len(rows) >= 80
    wrong = [check(row, comfy) for row in rows[part::PARTS]]
    assert [text for text in wrong if text] == []


@pytest.mark.full
@pytest.mark.parametrize("part", range(PARTS))
def test_every_sampler_with_every_scheduler_equals_stock(comfy: Path, part: int) -> None:
    """Some 800 batches of five cells."""
    from lora_kiln.tests.host import sweep_rows

    rows = list(sweep_rows.exhaustive_rows())[part::PARTS]
    wrong = [check(row, comfy) for row in rows]
    assert [text for text in wrong if text] == []
