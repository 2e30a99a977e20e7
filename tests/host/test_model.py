"""What the trainer is told about a MODEL, and weights that autograd would not take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch


@pytest.fixture
def tiny(comfy: Path) -> Any:
    """A small SDXL as a node hands it over: its weights are inference tensors."""
    from lora_kiln.tests.host import tiny_sdxl

    with torch.inference_mode():
        return tiny_sdxl.make_model()


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [("eps", "eps"), ("v_prediction", "v"), ("x0", "x0"), ("lcm", "lcm"),
     ("img_to_img", "img_to_img"), ("img_to_img_flow", "img_to_img_flow")],
)
def test_the_prediction_is_the_sampling_objects_own(tiny: Any, kind: str, wanted: str) -> None:
    """The stock node changes it without changing the model's type."""
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete

    from lora_kiln.host.identity import model_identity
    from lora_kiln.host.model import ComfyDenoiser

    (patched,) = ModelSamplingDiscrete().patch(tiny, kind, False)
    assert ComfyDenoiser(patched, "fp32").sampling.prediction == wanted
    (other,) = ModelSamplingDiscrete().patch(tiny, "eps" if kind != "eps" else "x0", False)
    assert model_identity(patched).digest != model_identity(other).digest


def test_edm_is_told_from_v(tiny: Any) -> None:
    from comfy_extras.nodes_model_advanced import ModelSamplingContinuousEDM

    from lora_kiln.host.sampling_law import prediction_of

    for kind, wanted in (("edm", "edm"), ("v_prediction", "v"), ("eps", "eps")):
        (patched,) = ModelSamplingContinuousEDM().patch(tiny, kind, 120.0, 0.002)
        assert prediction_of(patched.get_model_object("model_sampling")) == wanted


def test_weights_that_were_moved_outside_of_inference_mode(tiny: Any) -> None:
    """They say that they are no inference tensors, and autograd refuses them all the same."""
    from lora_kiln.core.attach import Attachment
    from lora_kiln.host.model import ComfyDenoiser
    from lora_kiln.trainer.frozen import attach_frozen

    network = tiny.model.diffusion_model
    with torch.inference_mode(False):
        for module in network.modules():
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    module._parameters[name].data = parameter.data.to(torch.float64).float()
    denoiser = ComfyDenoiser(tiny, "fp32")
    loaded = denoiser.loaded(0.0)
    with torch.inference_mode(False), torch.enable_grad(), loaded, Attachment() as attachment:
        attach_frozen(attachment, denoiser.modules().values(), denoiser.weights)
        norm = network.input_blocks[1][0].in_layers[0]
        values = torch.randn(1, norm.num_channels, 8, 8, requires_grad=True)
        norm(values).sum().backward()
        assert values.grad is not None


def test_the_compute_dtype_is_the_clones_own(tiny: Any) -> None:
    """Not that of whichever clone is loaded at the moment."""
    import comfy.model_management

    from lora_kiln.host.identity import compute_dtype_of, model_identity

    sibling = tiny.clone()
    sibling.set_model_compute_dtype(torch.bfloat16)
    before = model_identity(tiny).digest
    comfy.model_management.load_models_gpu([sibling])
    try:
        assert compute_dtype_of(tiny) == torch.float32
        assert compute_dtype_of(sibling) == torch.bfloat16
        assert model_identity(tiny).digest == before
    finally:
        comfy.model_management.unload_all_models()


@pytest.mark.parametrize("name", ["float8_e4m3fn", "int8_tensorwise"])
@pytest.mark.usefixtures("comfy")
def test_a_quantised_layer_passes_gradients_on(name: str) -> None:
    """As its weight says when it is written out; the activations' own rounding has no gradient."""
    import comfy.ops

    from lora_kiln.host.weights import ComfyWeights
    from lora_kiln.trainer.frozen import frozen_forward, is_foldable

    weight = torch.randn(24, 16)
    scale = weight.abs().max() / (448 if "float8" in name else 127)
    scaled = weight / scale
    small = scaled.to(torch.float8_e4m3fn) if "float8" in name else scaled.round().to(torch.int8)
    layer = comfy.ops.mixed_precision_ops({}, torch.float32).Linear(16, 24)
    marked = torch.tensor(list(json.dumps({"format": name}).encode()), dtype=torch.uint8)
    layer.load_state_dict(
        {"weight": small, "weight_scale": scale, "bias": torch.randn(24), "comfy_quant": marked}
    )
    assert is_foldable(layer)
    values = torch.randn(5, 16, requires_grad=True)
    result = frozen_forward(layer, layer.forward, ComfyWeights(), values)
    torch.testing.assert_close(result, layer(values.detach()))
    upstream = torch.randn_like(result)
    (found,) = torch.autograd.grad(result, values, upstream)
    torch.testing.assert_close(found, upstream @ (small.float() * scale))


@pytest.mark.parametrize(
    ("name", "resolution", "step"),
    [("sdxl", 1024, 64), ("z_image", 1024, 16), ("flux1", 768, 16), ("z_image", 512, 16),
     ("sdxl", 512, 32), ("sdxl", 256, 16)],
)
def test_buckets_have_the_steps_of_the_family(
    comfy: Path, name: str, resolution: int, step: int
) -> None:
    from lora_kiln.dataset.bucket_settings import BucketChoices
    from lora_kiln.lora_format.family import families

    own = families()[name].training.bucket_step_px
    assert BucketChoices().at(resolution, own)[0].step == step
