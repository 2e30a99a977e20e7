"""Cells of a sweep equal stock LoraLoader and KSampler runs, and leave nothing behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

LIMIT = 1e-4
# Strength, CFG and seed of the cells: mixed in one batch, the base among them.
MIXED = [(0.0, 1.0, 3), (1.0, 4.0, 3), (-0.7, 7.0, 4), (1.3, 1.0, 5)]
IN_EVERY_TEST_RUN = ("euler", "dpmpp_2m", "euler_ancestral", "dpmpp_2m_sde")


@pytest.fixture(scope="module")
def lora_tensors(demo: Any) -> dict[str, torch.Tensor]:
    """A random LoRA on everything that training targets, alpha half the rank."""
    from lora_kiln.lora_format.family import families

    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, torch.Tensor] = {}
    for path, module in demo.model.model.diffusion_model.named_modules():
        if families()["sdxl"].is_target(path):
            name = "lora_unet_" + path.replace(".", "_")
            rows, columns = module.weight.shape[:2]
            tensors[f"{name}.lora_down.weight"] = torch.randn(8, columns, generator=generator) * 0.1
            tensors[f"{name}.lora_up.weight"] = torch.randn(rows, 8, generator=generator) * 0.1
            tensors[f"{name}.alpha"] = torch.tensor(4.0)
    assert len(tensors) > 30
    return tensors


@pytest.fixture
def lora_file(lora_tensors: dict[str, torch.Tensor], tmp_path: Path) -> Path:
    path = tmp_path / "lora.safetensors"
    save_file(lora_tensors, path)
    return path


def make_cells(sampler: str, settings: Sequence[tuple[float, float, int]] = MIXED) -> list[Any]:
    from lora_kiln.sweep.cell_settings import CellSettings
    from lora_kiln.sweep.cells import Cell

    return [
        Cell(
            index, 0, index, 0,
            CellSettings(
                strength=strength, cfg=cfg, seed=seed, steps=6, sampler=sampler,
                prompt="a red circle", negative="blue", width_px=128, height_px=96,
            ),
        )
        for index, (strength, cfg, seed) in enumerate(settings)
    ]  # fmt: skip


def make_sampler(demo: Any, path: Path, model: Any = None) -> Any:
    from lora_kiln.host.cell_sampler import CellSampler
    from lora_kiln.host.lora_shelf import LoraShelf

    model = model or demo.model
    return CellSampler(model, demo.clip, LoraShelf(model, demo.clip, {"": path}))


def stock(demo: Any, path: Path, cell: Any, model: Any = None) -> torch.Tensor:
    """What LoraLoader, CLIPTextEncode and KSampler make, one picture alone."""
    import comfy.sample
    import comfy.sd
    import comfy.utils

    s, model, clip = cell.settings, model or demo.model, demo.clip
    if s.strength:
        tensors = comfy.utils.load_torch_file(str(path), safe_load=True)
        model, clip = comfy.sd.load_lora_for_models(model, clip, tensors, s.strength, s.strength)
    positive, negative = (
        clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in (s.prompt, s.negative)
    )
    empty = torch.zeros(1, 4, s.height_px // 8, s.width_px // 8)
    latent: torch.Tensor = comfy.sample.sample(
        model, comfy.sample.prepare_noise(empty, s.seed), s.steps, s.cfg, s.sampler, s.scheduler,
        positive, negative, empty, disable_pbar=True, seed=s.seed,
    )
    return latent[0]


def differences(
    demo: Any, path: Path, cells: Sequence[Any], found: Sequence[torch.Tensor], model: Any = None
) -> list[float]:
    from lora_kiln.host.parity import relative_difference

    return [
        relative_difference(latent, stock(demo, path, cell, model))
        for cell, latent in zip(cells, found, strict=True)
    ]


@pytest.mark.parametrize("sampler", IN_EVERY_TEST_RUN)
def test_cells_equal_stock_runs(demo: Any, lora_file: Path, sampler: str) -> None:
    cells = make_cells(sampler)
    with torch.inference_mode():
        cell_sampler = make_sampler(demo, lora_file)
        assert cell_sampler.why_alone(cells[0].settings) == ""
        latents = cell_sampler.draw_beside(cells, lambda _: None)
        found = differences(demo, lora_file, cells, list(latents))
    assert max(found) <= LIMIT, found
    spread = [float((latents[0] - other).abs().max()) for other in latents[1:]]
    assert min(spread) > 0.05, spread


def test_a_cell_does_not_depend_on_its_neighbours(demo: Any, lora_file: Path) -> None:
    from lora_kiln.host.parity import relative_difference

    cells = make_cells("euler_ancestral")
    with torch.inference_mode():
        sampler = make_sampler(demo, lora_file)
        together = sampler.draw_beside(cells, lambda _: None)
        turned = sampler.draw_beside(cells[::-1], lambda _: None).flip(0)
        alone = torch.cat([sampler.draw_beside([cell], lambda _: None) for cell in cells])
    for index in range(len(cells)):
        assert relative_difference(turned[index], together[index]) <= LIMIT
        assert relative_difference(alone[index], together[index]) <= LIMIT


@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral"])
def test_a_cfg_function_gets_each_cells_own_scale(
    demo: Any, lora_file: Path, sampler: str
) -> None:
    from comfy_extras.nodes_model_advanced import RescaleCFG

    model = RescaleCFG().patch(demo.model, 0.7)[0]
    cells = make_cells(sampler)
    with torch.inference_mode():
        cell_sampler = make_sampler(demo, lora_file, model)
        assert cell_sampler.why_alone(cells[0].settings) == ""
        latents = cell_sampler.draw_beside(cells, lambda _: None)
        found = differences(demo, lora_file, cells, list(latents), model)
        plain = make_sampler(demo, lora_file).draw_beside(cells, lambda _: None)
    assert max(found) <= LIMIT, found
    assert float((plain[2] - latents[2]).abs().max()) > 0.05
    assert "sampler_cfg_function" not in demo.model.model_options


def sweep_of(
    demo: Any, host: Any, path: Path, cells: Sequence[Any], mode: str = "auto"
) -> tuple[Any, dict[int, torch.Tensor]]:
    """The runner after its run, and the latents, which it does not keep."""
    from lora_kiln.host.sweep_engine import make_runner
    from lora_kiln.sweep.cells import SweepPlan

    plan = SweepPlan(tuple(cells), tuple("abcd"[: len(cells)]), ("x",), ("",))
    cache = path.parent / f"cache {mode}"
    runner = make_runner(demo.model, demo.clip, demo.vae, {"": path}, host, mode, cache=cache)
    latents: dict[int, torch.Tensor] = {}
    keep = runner._keep

    def keep_and_tell(piece: Any, checked: Any) -> None:
        for job, latent in zip(piece.jobs, piece.latents, strict=True):
            latents[job.cell.index] = latent
        keep(piece, checked)

    runner._keep = keep_and_tell  # type: ignore[method-assign]
    runner.run(plan)
    return runner, latents


def test_a_sweep_says_how_it_was_drawn(demo: Any, host: Any, lora_file: Path) -> None:
    cells = make_cells("euler", [(0.0, 3.0, 1), (1.0, 3.0, 1), (1.0, 1.0, 1)])
    with torch.inference_mode():
        runner, _ = sweep_of(demo, host, lora_file, cells)
        exact, latents = sweep_of(demo, host, lora_file, cells, mode="exact")
        found = differences(demo, lora_file, cells, [latents[i] for i in range(3)])
    assert {outcome.mode for outcome in runner.outcomes.values()} == {"batched"}
    assert [exact.outcomes[index].mode for index in range(3)] == ["batched", "patched", "patched"]
    assert max(found) <= LIMIT, found
    (parity,) = [o.parity for o in runner.outcomes.values() if o.parity is not None]
    assert 0 <= parity <= LIMIT
    effects = [runner.outcomes[index].effect for index in range(3)]
    assert effects[0] == 0
    assert effects[1] > 0
    assert effects[2] is None, "there is no cell of strength 0 with this CFG"
    assert host.updates[-1] == (18, 18)
    assert runner.pictures[0].size == (128, 96)
    assert any("keys matched" in note for note in runner.notes)


def test_a_dora_goes_patched(
    demo: Any, host: Any, lora_tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    """Its effect is not linear in the strength, so it cannot stand beside the weight."""
    tensors = dict(lora_tensors)
    name = next(key for key in tensors if key.endswith("to_q.lora_up.weight"))
    rows = tensors[name].shape[0]
    scale_name = name.replace("lora_up.weight", "dora_scale")
    tensors[scale_name] = torch.rand(rows, 1, generator=torch.Generator().manual_seed(1)) + 0.5
    path = tmp_path / "dora.safetensors"
    save_file(tensors, path)
    cells = make_cells("euler", [(0.0, 4.0, 3), (1.0, 4.0, 3), (-0.7, 1.0, 4)])
    with torch.inference_mode():
        runner, latents = sweep_of(demo, host, path, cells)
        assert runner.sampler.shelf.facts("").unmatched == ()
        found = differences(demo, path, cells, [latents[i] for i in range(3)])
    assert [runner.outcomes[index].mode for index in range(3)] == ["batched", "patched", "patched"]
    assert "DoRA" in runner.outcomes[1].reason
    assert max(found) <= LIMIT, found


def test_an_unknown_sampler_goes_alone(demo: Any, host: Any, lora_file: Path) -> None:
    cells = make_cells("dpm_adaptive", [(0.0, 2.0, 3), (1.0, 2.0, 4)])
    with torch.inference_mode():
        runner, latents = sweep_of(demo, host, lora_file, cells)
        found = differences(demo, lora_file, cells, [latents[0], latents[1]])
    assert {outcome.mode for outcome in runner.outcomes.values()} == {"alone"}
    assert "dpm_adaptive is not known to keep cells apart" in runner.outcomes[0].reason
    assert max(found) == 0


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_everything_is_put_back_after_an_exception(
    demo: Any, lora_file: Path, error: type[BaseException]
) -> None:
    import comfy.k_diffusion.sampling as sampling

    def snapshot() -> list[Any]:
        forwards = [
            (name, module.__dict__.get("forward"))
            for name, module in demo.model.model.named_modules()
        ]
        return [forwards, dict(vars(sampling)), dict(demo.model.model_options), demo.model.patches]

    def stop(step: int) -> None:
        assert snapshot()[0] != before[0]
        assert sampling.default_noise_sampler is not before[1]["default_noise_sampler"]
        raise error("stopped")

    before = snapshot()
    with torch.inference_mode():
        sampler = make_sampler(demo, lora_file)
        with pytest.raises(error, match="stopped"):
            sampler.draw_beside(make_cells("euler_ancestral"), stop)
    after = snapshot()
    assert after[0] == before[0]
    assert all(after[1][name] is value for name, value in before[1].items())
    assert after[2:] == before[2:]


@pytest.mark.slow
def test_every_batchable_sampler_equals_stock_runs(demo: Any, lora_file: Path) -> None:
    """The list in ``host/cell_noise`` is what this test shows, no more."""
    from comfy.samplers import KSampler

    from lora_kiln.host.cell_noise import BATCHABLE_SAMPLERS

    wrong = {}
    with torch.inference_mode():
        sampler = make_sampler(demo, lora_file)
        for name in sorted(BATCHABLE_SAMPLERS & set(KSampler.SAMPLERS)):
            cells = make_cells(name)
            latents = sampler.draw_beside(cells, lambda _: None)
            found = max(differences(demo, lora_file, cells, list(latents)))
            if not found <= LIMIT:
                wrong[name] = found
    assert wrong == {}
