"""What the trainer makes of ComfyUI's sampling objects equals what ComfyUI makes of them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch

KINDS = ("eps", "v", "v with zero terminal SNR", "Playground v2.5", "CosXL", "flow on a UNet")
CLOSE = 2e-5


@pytest.fixture(scope="module")
def tiny(comfy: Path) -> Any:
    return importlib.import_module("lora_kiln.tests.host.tiny_sdxl").make_model()


def patched(tiny: Any, kind: str) -> Any:
    """A MODEL as the stock nodes make it."""
    from comfy_extras import nodes_model_advanced as nodes

    if kind == "Playground v2.5":
        (model,) = nodes.ModelSamplingContinuousEDM().patch(tiny, "edm_playground_v2.5", 80.0, 2e-3)
    elif kind == "CosXL":
        (model,) = nodes.ModelSamplingContinuousEDM().patch(tiny, "v_prediction", 120.0, 2e-3)
    elif kind == "flow on a UNet":
        (model,) = nodes.ModelSamplingSD3().patch(tiny, 3.0)
    else:
        name = "eps" if kind == "eps" else "v_prediction"
        (model,) = nodes.ModelSamplingDiscrete().patch(tiny, name, "zero" in kind)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_the_networks_output_is_recovered(tiny: Any, kind: str) -> None:
    """From the denoised picture that the host hands back, at levels all over the schedule."""
    from lora_kiln.core.protocols import ImageGeometry, TextEmbedding
    from lora_kiln.host.model import ComfyDenoiser
    from lora_kiln.trainer.objective import objective_for

    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode(False), torch.no_grad():
        denoiser = ComfyDenoiser(patched(tiny, kind), "fp32")
        denoiser.settle()
        law = denoiser.sampling
        times = torch.tensor([0.0, 0.02, 0.3, 0.7, 0.95, 0.9995], dtype=torch.float64)
        sigma = law.sigma(times).float()
        shape = (len(times), 4, 8, 8)
        latent, noise = (torch.randn(shape, generator=generator) for _ in range(2))
        sampling = denoiser.patcher.get_model_object("model_sampling")
        noisy = law.noisy(sigma, noise, latent)
        torch.testing.assert_close(noisy, sampling.noise_scaling(sigma, noise.clone(), latent))
        width = denoiser.model.diffusion_model.out[2].out_channels
        geometry = ImageGeometry(
            original_width_px=64, original_height_px=64, crop_left_px=0, crop_top_px=0,
            target_width_px=64, target_height_px=64,
        )
        text = TextEmbedding(
            torch.randn(1, 77, denoiser.model.model_config.unet_config["context_dim"]),
            torch.randn(1, _pooled(denoiser)), {},
        )
        cond = denoiser.condition(text, geometry, latent[:1])
        raw: list[torch.Tensor] = []
        network = denoiser.model.diffusion_model
        hook = network.register_forward_hook(lambda _m, _i, out: raw.append(out.float()))
        with denoiser.loaded(0.0):
            denoised = denoiser.predict(noisy, sigma, [cond] * len(times))
        hook.remove()
        objective = objective_for(law.prediction)
        found = objective.output(noisy, denoised, sigma, law.sigma_data)
        denoiser.release()
    assert raw[0].shape[1] == width
    # What ComfyUI rounds in x0 stands divided by c_out: 1e-7 of x over sigma.
    slack = (noisy.flatten(1).abs().amax(1) * 1e-6 / objective.c_out(sigma, law.sigma_data).abs())
    for index in range(len(times)):
        error = float((found[index] - raw[0][index]).abs().max())
        assert error <= float(slack[index]) + CLOSE * float(raw[0][index].abs().max()), index


def _pooled(denoiser: Any) -> int:
    return int(denoiser.model.model_config.unet_config["adm_in_channels"]) - 6 * 256


@pytest.mark.parametrize("kind", KINDS[:3])
def test_every_timestep_has_the_hosts_sigma_and_comes_back(tiny: Any, kind: str) -> None:
    from lora_kiln.host.sampling_law import law_of
    from lora_kiln.trainer.law import ddpm_sigmas

    sampling = patched(tiny, kind).get_model_object("model_sampling")
    law = law_of(sampling)
    indices = torch.arange(1000)
    sigma = law.sigma((indices.double() + 0.5) / 1000)
    torch.testing.assert_close(sigma.float(), sampling.sigma(indices.float()), rtol=1e-5, atol=0)
    assert torch.equal(sampling.timestep(sigma.float()), indices)
    mine = ddpm_sigmas(zero_terminal="zero" in kind)
    torch.testing.assert_close(mine, sigma, rtol=2e-4, atol=0)
    assert law.zero_terminal == ("zero" in kind)
    torch.testing.assert_close(law.time(sigma), (indices.double() + 0.5) / 1000)


def test_what_is_read_from_each(tiny: Any) -> None:
    from lora_kiln.host.sampling_law import law_of

    found = {
        kind: law_of(patched(tiny, kind).get_model_object("model_sampling")) for kind in KINDS
    }
    assert {kind: law.prediction for kind, law in found.items()} == {
        "eps": "eps", "v": "v", "v with zero terminal SNR": "v", "Playground v2.5": "edm",
        "CosXL": "v", "flow on a UNet": "flow",
    }
    assert found["Playground v2.5"].sigma_data == 0.5
    assert found["CosXL"].sigma_data == 1.0
    assert found["flow on a UNet"].shift == 3.0
    ends = found["Playground v2.5"].sigma(torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(ends, torch.tensor([0.002, 80.0]).double(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_each_trains_with_no_setting_touched(
    tiny: Any, kind: str, tmp_path: Path, pictures: Any, small_training: Any, host: Any, demo: Any
) -> None:
    from lora_kiln.host.training import TrainRequest, train_in_comfy

    with torch.inference_mode():
        outcome = train_in_comfy(
            TrainRequest(
                model=patched(demo.model, kind), clip=demo.clip, vae=demo.vae, dataset=pictures,
                settings=small_training,
            ),
            host,
        )
    recipe = outcome.run.document()["recipe"]
    wanted = {"Playground v2.5": "lognormal", "flow on a UNet": "logit_normal"}
    assert recipe["density"] == wanted.get(kind, "uniform")
    assert recipe["zero_terminal_snr"] == (kind in (KINDS[2], KINDS[5]))
    assert all(entry["loss"] is not None for entry in outcome.result.metrics)


@pytest.mark.parametrize("prediction", ["eps", "v", "edm", "flow"])
def test_the_picture_without_a_model_is_of_the_prediction_that_is_set(
    comfy: Path, prediction: str
) -> None:
    from lora_kiln.host.shares import _law_of_settings, shares_picture
    from lora_kiln.trainer.objective_settings import ObjectiveSettings

    settings = ObjectiveSettings(prediction=prediction)
    assert _law_of_settings(settings).prediction == prediction
    assert shares_picture(settings).shape == (480, 800, 3)


def test_settings_override_what_a_file_fails_to_say(tiny: Any) -> None:
    from lora_kiln.core.errors import ConfigError
    from lora_kiln.host.sampling_law import law_of, with_chosen_sampling
    from lora_kiln.trainer.objective_settings import ObjectiveSettings

    def law(model: Any, **values: Any) -> Any:
        chosen = with_chosen_sampling(model, ObjectiveSettings(**values))
        return law_of(chosen.get_model_object("model_sampling"))

    changed = law(tiny, prediction="v", zero_terminal_snr="on")
    assert changed.prediction == "v" and changed.zero_terminal
    assert law(tiny, prediction="edm").sigma_data == 0.5
    plain = law(patched(tiny, KINDS[2]), prediction="eps", zero_terminal_snr="off")
    assert plain.prediction == "eps" and not plain.zero_terminal
    assert law_of(tiny.get_model_object("model_sampling")).prediction == "eps"
    with pytest.raises(ConfigError, match=r"predicts noise.*v-prediction with it"):
        law(tiny, zero_terminal_snr="on")
    with pytest.raises(ConfigError, match="predicts flow"):
        law(patched(tiny, KINDS[5]), prediction="eps")
