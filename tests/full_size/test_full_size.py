"""SDXL and Z-Image at full size; only with ``make test-full-size``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora_kiln.devtools.full_size.__main__ import measure
from lora_kiln.devtools.full_size.plans import PLANS


@pytest.mark.full_size
@pytest.mark.parametrize("family", sorted(PLANS))
def test_a_lora_of_a_whole_model_trains_and_loads_whole(
    family: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "full_size" not in str(request.config.getoption("markexpr")):
        pytest.skip("takes many minutes and gigabytes; run: make test-full-size")
    plan, found = PLANS[family], measure(family, tmp_path)
    print(json.dumps(found, indent=2))
    if "not_measured" in found:
        pytest.skip(found["not_measured"])
    assert not list(tmp_path.iterdir())
    # The model is in memory once, and computing in bf16 makes no second one.
    assert found["load_held_gib"] - found["imports_held_gib"] < found["file_gib"] + 0.5
    assert list(found["presets"]) == list(plan.presets)
    for preset, modules in plan.presets.items():
        run = found["presets"][preset]
        counts = {run[name] for name in ("trained", "modules", "matched", "patched")}
        assert counts == {modules}, preset
        assert run["warnings"] == []
        assert run["finite"]
        assert run["skipped"] == 0
        assert run["probe"][0] != run["probe"][1]
        assert run["peak_gib"] < plan.memory_gib
        # A run leaves nothing behind.
        assert run["held_after_gib"] - found["load_held_gib"] < 0.4
    assert found["weights_changed"] == []
