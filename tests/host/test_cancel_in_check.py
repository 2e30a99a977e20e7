"""Cancel while a cell is drawn as the stock nodes do it: nothing is stored or stays behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lora_kiln.sweep.axis import AxisValues
from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import plan_sweep


def lasting(shot: dict[str, Any]) -> dict[str, Any]:
    """Without which object a tensor is: stock puts back another one of the same bytes."""
    return {
        name: (own[0], *own[2:]) if isinstance(own, tuple) and isinstance(own[0], str) else own
        for name, own in shot.items()
    }


@pytest.mark.parametrize("step", [0, 1])
def test_cancel_during_the_check(
    demo: Any, host: Any, tmp_path: Path, photograph: Callable[[Any], Any], step: int
) -> None:
    import comfy.model_management as management

    from lora_kiln.host.sweep_engine import make_runner
    from lora_kiln.tests.host import tiny_sdxl

    path = tmp_path / "lora.safetensors"
    tensors = tiny_sdxl.lora_tensors(demo.model, rank=2)
    save_file({name: own.contiguous() for name, own in tensors.items()}, path)
    base = CellSettings(
        lora=path.name, prompt="a star", steps=3, cfg=3.0, width_px=64, height_px=64
    )
    plan = plan_sweep(base, [AxisValues("strength", (0.0, 0.5, 1.0))])

    def runner_of() -> Any:
        return make_runner(
            demo.model, demo.clip, demo.vae, {path.name: path}, host, cache=tmp_path / "cache"
        )

    with torch.inference_mode():
        # Its own weights, whatever clone another test has left on them.
        management.load_models_gpu([demo.model])
        before = lasting(photograph(demo.model))
        runner = runner_of()
        stock, calls = runner.sampler.draw_patched, []

        def stopped(cells: Any, on_step: Callable[[int], None]) -> Any:
            def tell(number: int) -> None:
                calls.append(number)
                if number == step:
                    host.cancel_at = host.checks + 1
                on_step(number)

            return stock(cells, tell)

        runner.sampler.draw_patched = stopped
        with pytest.raises(management.InterruptProcessingException):
            runner.run(plan)
        assert calls == list(range(step + 1))
        assert not runner.files
        assert not list((tmp_path / "cache" / "cells").rglob("*.png"))
        management.load_models_gpu([demo.model])
        assert lasting(photograph(demo.model)) == before

        again = runner_of()
        again.run(plan)
    assert len(again.files) == len(plan.drawn)
    (checked,) = [own.parity for own in again.outcomes.values() if own.parity is not None]
    assert checked <= 1e-4
