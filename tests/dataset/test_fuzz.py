"""Mutated pictures, captions and tables: read or refused in words, and nothing else."""

from __future__ import annotations

import pytest

from lora_kiln.tests.dataset.fuzz.formats import FORMATS
from lora_kiln.tests.dataset.fuzz.run import Report, run_cases
from lora_kiln.tests.dataset.fuzz.seeds import TEXTS, pictures

SEED = 6


def require_sound(report: Report) -> None:
    """No fault, and both readable and refused mutants of every kind of picture."""
    assert report.faults == []
    for kind in {kind for kind, _ in pictures()}:
        assert report.counts[f"{kind} read"], report.counts
        assert report.counts[f"{kind} refused"], report.counts


@pytest.mark.parametrize("kind", FORMATS)
def test_taking_a_file_apart_and_together_again_keeps_it_readable(kind: str) -> None:
    import io

    from PIL import Image

    form = FORMATS[kind]
    for data in (data for other, data in pictures() if other == kind):
        again = form.join(form.split(data))
        with Image.open(io.BytesIO(data)) as one, Image.open(io.BytesIO(again)) as other_image:
            assert one.convert("RGBA").tobytes() == other_image.convert("RGBA").tobytes()


def test_a_few_seconds_of_mutants() -> None:
    require_sound(run_cases(0, 100_000, seed=SEED, within_s=4))


@pytest.mark.full
def test_a_hundred_thousand_mutants() -> None:
    report = run_cases(0, 100_000, seed=SEED, processes=2)
    require_sound(report)
    assert sum(report.counts.values()) == 100_000
    for name, _ in TEXTS:
        assert report.counts[f"{name} read"] + report.counts[f"{name} refused"] > 1000
