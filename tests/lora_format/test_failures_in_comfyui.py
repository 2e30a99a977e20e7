"""The known failures in the stock loader itself: it passes over exactly the keys that we name."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lora_kiln.lora_format.family import families
from lora_kiln.lora_format.inspect import inspect
from lora_kiln.tests.lora_format.failure_rows import ROWS, Row

TITLES = {family.title: name for name, family in families().items()}
TODAY = [row for row in ROWS if not row.version and row.name.endswith(".safetensors")]
NOT_READ = {
    "another-kind", "embeddings-only", "no-lora", "unknown-model", "several-models", "transposed",
    "factors-do-not-fit",
}
"""What is no LoRA of a family that we know, so that there is no list of keys."""
BREAKS_OFF = [row for row in TODAY if any("applies nothing" in part for part in row.says)]
AS_IT_IS = [row for row in TODAY if row.rule == "another-kind" and row.works]


@cache
def names_of(family: str) -> dict[str, Any]:
    from lora_kiln.tests.lora_format import comfy_models

    return comfy_models.names_read(
        [comfy_models.make_model(family), comfy_models.make_clip(family)]
    )


def passed_over(
    tensors: Mapping[str, torch.Tensor], family: str, log: pytest.LogCaptureFixture
) -> set[str]:
    """The keys that the stock loader warns of."""
    from lora_kiln.tests.lora_format import comfy_models

    log.clear()
    with log.at_level(logging.WARNING):
        comfy_models.load(tensors, names_of(family))
    told = (record.getMessage() for record in log.records)
    return {text.partition(": ")[2] for text in told if text.startswith("lora key not loaded")}


@pytest.mark.parametrize(
    "row", [row for row in TODAY if row not in BREAKS_OFF and row.rule not in NOT_READ], ids=str
)
def test_the_loader_passes_over_what_we_say(
    comfy: Path, row: Row, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report = inspect(row.write(tmp_path), row.model)
    tensors = load_file(report.path)
    words = {key for key in tensors if key.startswith("bundle_emb.")}
    alone = {finding.subject for finding in report.findings if finding.rule == "orphan-factor"}
    found = passed_over(tensors, TITLES[report.family], caplog)
    assert found == {*report.unmatched, *words, *alone}


@pytest.mark.parametrize("row", BREAKS_OFF, ids=str)
def test_the_loader_breaks_off_where_we_say(comfy: Path, row: Row, tmp_path: Path) -> None:
    from lora_kiln.tests.lora_format import comfy_models

    with pytest.raises((KeyError, RuntimeError)):
        comfy_models.load(load_file(row.write(tmp_path)), names_of("sdxl"))


@pytest.mark.parametrize("row", AS_IT_IS, ids=str)
def test_the_loader_reads_what_it_rewrites_itself(
    comfy: Path, row: Row, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = load_file(row.write(tmp_path))
    assert passed_over(tensors, "flux1", caplog) == set()


def test_fused_and_split_parts_are_added_both(comfy: Path, tmp_path: Path) -> None:
    from lora_kiln.tests.lora_format import comfy_models

    row = next(row for row in ROWS if row.rule == "double-strength")
    patches = comfy_models.load(load_file(row.write(tmp_path)), names_of("z_image"))
    changed = [key for key in patches if "attention.qkv" in str(key)]
    assert len(changed) == 4
    row = next(row for row in ROWS if row.rule == "duplicate-target")
    patches = comfy_models.load(load_file(row.write(tmp_path)), names_of("z_image"))
    assert len(patches) == 2
