"""A training adapter takes part in training and in nothing else; what distilled models are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_kiln.core.errors import LoraFormatError
from lora_kiln.core.protocols import TextEmbedding

Train = Callable[..., Any]
TURBO = "z_image_turbo_bf16"
WARNING = "Z-Image Turbo is distilled"


def split_tensors(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same LoRA as diffusers writes it: q, k and v apart, lora_A and lora_B, no alpha."""
    found: dict[str, torch.Tensor] = {}
    for key, down in tensors.items():
        if not key.endswith("lora_down.weight"):
            continue
        name = key.removesuffix(".lora_down.weight")
        up = tensors[f"{name}.lora_up.weight"] * float(tensors[f"{name}.alpha"]) / down.shape[0]
        parts = {name: up}
        if name.endswith("attention.qkv"):
            before = name.removesuffix("qkv")
            parts = {f"{before}to_{p}": u for p, u in zip("qkv", up.chunk(3), strict=True)}
        elif name.endswith("attention.out"):
            parts = {name.removesuffix("out") + "to_out.0": up}
        for part, rows in parts.items():
            found[f"{part}.lora_A.weight"] = down.clone()
            found[f"{part}.lora_B.weight"] = rows.contiguous()
    return found


@pytest.fixture
def adapter_files(tiny_zimage_demo: Any, host: Any) -> dict[str, Path]:
    """A training adapter in ComfyUI's own names, and in those it is published in."""
    from lora_kiln.tests.host.tiny_zimage import lora_tensors

    own = lora_tensors(tiny_zimage_demo.model, size=0.5)
    forms = {"own": own, "diffusers": split_tensors(own)}
    paths = {name: host.loras / f"{name}.safetensors" for name in forms}
    for name, tensors in forms.items():
        save_file(tensors, paths[name])
    return paths


def picture() -> Any:
    from lora_kiln.tests.host.one_step import item_of

    text = TextEmbedding(torch.randn(1, 20, 32), None, {"attention_mask": torch.ones(1, 20)})
    return item_of(text, 0, channels=16)


@pytest.mark.parametrize("form", ["own", "diffusers"])
def test_the_loss_is_that_of_the_model_it_is_merged_into(
    tiny_zimage_demo: Any, adapter_files: dict[str, Path], form: str
) -> None:
    from lora_kiln.host.training_adapter import read_training_adapter
    from lora_kiln.tests.host.one_step import bench, worst
    from lora_kiln.tests.host.stock_preview import with_lora

    model, items = tiny_zimage_demo.model, [picture()]
    side, digest = read_training_adapter(adapter_files[form].name, model)
    assert len(side) == 34 and len(digest) == 64
    merged = with_lora(model, adapter_files[form])
    found = {}
    for name, which, beside in (("beside", model, side), ("merged", merged, {}), ("", model, {})):
        with bench(which, items, side=beside, targets="all") as ready:
            losses = ready.runner.losses(ready.samples(), 0, 1)
            found[name] = losses.detach(), ready.gradients(losses)
    assert abs(float(found["beside"][0] - found[""][0])) > 1e-2
    torch.testing.assert_close(found["beside"][0], found["merged"][0], rtol=1e-5, atol=0)
    assert worst(found["beside"][1], found["merged"][1]) <= 1e-5


@pytest.fixture
def turbo(tiny_zimage_demo: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tiny model as if it came from Turbo's file."""
    from lora_kiln.host import model_kind

    monkeypatch.setattr(model_kind, "source_files", lambda _: [Path(f"{TURBO}.safetensors")])
    return tiny_zimage_demo


def test_it_is_neither_in_previews_nor_in_the_file(
    turbo: Any, train: Train, host: Any, pictures: Any, adapter_files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch, photograph: Any,
) -> None:
    import comfy.model_management

    from lora_kiln.tests.host.stock_preview import stock_latent, watched_previews, with_lora
    from lora_kiln.tests.host.stock_run import difference

    with torch.inference_mode():
        comfy.model_management.load_models_gpu([turbo.model])
    before = photograph(turbo.model)
    settings: dict[str, Any] = {
        "of": turbo, "dataset": replace(pictures, items=pictures.items[3:]), "batch_size": 1,
        "preview_prompts": "a boat", "learning_rate": 1e-2, "checkpoint_every": 0,
    }
    chosen = {"training_adapter": adapter_files["diffusers"].name}
    with watched_previews(monkeypatch) as drawn:
        outcome = train(**settings, preview_every=4, also=chosen)
    assert photograph(turbo.model) == before
    assert not any(WARNING in text for text in host.said)
    request = drawn.requests[0]
    assert (request.sampler, request.scheduler, request.steps, request.cfg) == (
        "res_multistep", "simple", 8, 1.0
    )
    path = outcome.result.lora.path
    for latent, model in zip(
        drawn.latents, (turbo.model, with_lora(turbo.model, path)), strict=True
    ):
        assert difference(latent, stock_latent(model, turbo.clip, request)) < 2e-5
    tensors = load_file(path)
    assert len(tensors) == 30
    assert {t.shape[0] for k, t in tensors.items() if k.endswith("lora_down.weight")} == {4}
    # Another run: what was trained on top of it is something else.
    bare = train(**settings, preview_every=0)
    assert bare.run.name == "small-002"
    assert bare.result.probe_start != outcome.result.probe_start
    assert sum(WARNING in text for text in host.said) == 1


def test_a_distilled_model_is_told_of_and_a_base_is_not(
    turbo: Any, train: Train, host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_kiln.host import model_kind
    from lora_kiln.trainer.objective_settings import ObjectiveSettings

    train(of=turbo, steps=1, checkpoint_every=0)
    assert sum(WARNING in text for text in host.said) == 1
    said = len(host.said)
    train(of=turbo, steps=1, also={"objective": ObjectiveSettings(model_kind="base")})
    for stem in ("z_image_bf16", "z-image-de-turbo-v1"):
        monkeypatch.setattr(
            model_kind, "source_files", lambda _, stem=stem: [Path(f"{stem}.safetensors")]
        )
        train(of=turbo, steps=1)
    assert not any(WARNING in text for text in host.said[said:])


def test_an_adapter_that_does_not_fit_is_refused(
    tiny_zimage_demo: Any, train: Train, host: Any, adapter_files: dict[str, Path]
) -> None:
    tensors = load_file(adapter_files["own"])
    odd = {key.replace("layers.1.", "layers.7."): value for key, value in tensors.items()}
    save_file(odd, host.loras / "odd.safetensors")
    save_file(
        {"diffusion_model.layers.0.attention.out.diff": torch.zeros(256, 256)},
        host.loras / "diff.safetensors",
    )
    for name, told in (("odd", "does not fit"), ("diff", "holds diff")):
        with pytest.raises(LoraFormatError, match=told):
            train(of=tiny_zimage_demo, also={"training_adapter": f"{name}.safetensors"})
    assert not (host.runs / "small-001").exists()


@pytest.mark.usefixtures("comfy")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("z_image_turbo_bf16", "distilled"),
        ("z-image-turbo-fp8-e4m3fn", "distilled"),
        ("z_image_bf16", "base"),
        ("z-image-de-turbo", "dedistilled"),
        ("z_image_de_turbo_v1_bf16", "dedistilled"),
        ("zimageTurbo_deturbo", "dedistilled"),
        ("Z-Image-DeTurbo", "dedistilled"),
        ("z_image_turbo_dedistilled_v2", "dedistilled"),
        ("z-image-undistilled", "dedistilled"),
        ("sd_xl_base_1.0", "base"),
        ("sd_xl_turbo_1.0_fp16", "distilled"),
        ("sdxl_lightning_4step", "distilled"),
        ("sdxl_lightning_8step_lora", "distilled"),
        ("dreamshaperXL_turboDPMSDE", "distilled"),
        ("dreamshaperXL_v21TurboDPMSDE", "distilled"),
        ("DreamShaperXL_Lightning", "distilled"),
        ("juggernautXL_v9Rdphoto2Lightning", "distilled"),
        ("juggernautXL_ragnarokBy", "base"),
        ("realvisxlV50_v50LightningBakedvae", "distilled"),
        ("LCM_Dreamshaper", "distilled"),
        ("dreamshaper_8LCM", "distilled"),
        ("Hyper-SDXL-8steps", "distilled"),
        ("hyper-sdxl", "distilled"),
        ("dmd2_sdxl_4step", "distilled"),
        ("illustriousXL_dmd2", "distilled"),
        ("flux1-schnell", "distilled"),
        ("flux1-dev-fp8", "base"),
        ("flux_dev_de_distill", "dedistilled"),
        ("illustriousXL_v01", "base"),
        ("ponyDiffusionV6XL", "base"),
        ("noobaiXL_vpred", "base"),
        ("animagine-xl-4.0", "base"),
        ("stylehyperion", "base"),
        ("hyperrealism_v3", "base"),
        ("hyperionXL_v1", "base"),
        ("HyperRealism_XL", "base"),
        ("dreamshaperXLHyper_8step", "distilled"),
        ("seaside_turbo", "distilled"),
        ("zimagedeturbo", "dedistilled"),
        ("stepford_v2", "base"),
        ("my_model_2000steps", "base"),
        ("lumina_2", "base"),
    ],
)
def test_kinds_by_the_names_of_real_files(name: str, kind: str) -> None:
    from lora_kiln.host.model_kind import kind_by_name

    assert kind_by_name(name) == kind
