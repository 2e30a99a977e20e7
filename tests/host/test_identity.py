"""The identity of a MODEL, CLIP or VAE is its content: each ingredient changes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch


@pytest.fixture
def of(demo: Any) -> Callable[[Any], str]:
    from lora_kiln.host.identity import model_identity

    def digest(model: Any) -> str:
        found = model_identity(model)
        assert found.reusable, found.reasons
        return found.digest

    return digest


def first_key(model: Any) -> str:
    return next(name for name in model.model.state_dict() if name.endswith("proj_in.weight"))


def patched(model: Any, *, value: float = 0.1, strength: float = 1.0) -> Any:
    clone, key = model.clone(), first_key(model)
    shape = model.model.state_dict()[key].shape
    clone.add_patches({key: (torch.full(shape, value),)}, strength)
    return clone


def scaled_sampling(model: Any, shift: float) -> Any:
    """What ModelSampling nodes do: another object in place of the model's own."""
    clone = model.clone()
    sampling = type(model.get_model_object("model_sampling"))(model.model.model_config)
    sampling.set_sigmas(sampling.sigmas * shift)
    clone.add_object_patch("model_sampling", sampling)
    return clone


def guided(model: Any, multiplier: float) -> Any:
    clone = model.clone()

    def rescale(args: dict[str, Any]) -> Any:
        return args["cond"] * multiplier

    clone.set_model_sampler_cfg_function(rescale)
    return clone


def test_a_clone_and_a_reloaded_model_are_the_same(demo: Any, of: Callable[[Any], str]) -> None:
    from lora_kiln.host import demo_model

    assert of(demo.model) == of(demo.model.clone()) == of(demo.model.clone().clone())
    with torch.inference_mode():
        assert of(demo_model.load_unet_patcher()) == of(demo.model)


def test_every_ingredient_of_a_model_changes_it(demo: Any, of: Callable[[Any], str]) -> None:
    model = demo.model
    option = model.clone()
    option.model_options["transformer_options"]["patches"] = {"attn1_patch": [test_placeholder]}
    variants = {
        "plain": model,
        "patch": patched(model),
        "another value": patched(model, value=0.2),
        "another strength": patched(model, strength=0.5),
        "two patches": patched(patched(model)),
        "sampling": scaled_sampling(model, 1.5),
        "another sampling": scaled_sampling(model, 2.0),
        "cfg function": guided(model, 0.7),
        "another closure": guided(model, 0.8),
        "transformer option": option,
    }
    digests = {name: of(variant) for name, variant in variants.items()}
    assert len(set(digests.values())) == len(variants), digests
    assert digests["patch"] == of(patched(model))
    assert digests["sampling"] == of(scaled_sampling(model, 1.5))
    assert digests["cfg function"] == of(guided(model, 0.7))
    assert of(model) == digests["plain"]


def test_placeholder() -> None:
    """Stands for a function that another node puts into the options."""


def test_merged_patches_do_not_change_what_it_is(demo: Any, of: Callable[[Any], str]) -> None:
    """Loading a patched clone writes into the shared weights; the model is still the same."""
    import comfy.model_management

    from lora_kiln.host import identity

    plain, key = of(demo.model), first_key(demo.model)
    with torch.inference_mode():
        # Another test may have left another clone's patches on it.
        comfy.model_management.load_models_gpu([demo.model])
        before = demo.model.model.state_dict()[key].clone()
        comfy.model_management.load_models_gpu([patched(demo.model, value=3.0)])
        merged = demo.model.model.state_dict()[key].clone()
        identity._TENSOR_HASHES.clear()
        loaded = of(demo.model)
        comfy.model_management.load_models_gpu([demo.model])
    torch.testing.assert_close(merged, before + 3)
    assert torch.equal(demo.model.model.state_dict()[key], before)
    assert loaded == plain
    identity._TENSOR_HASHES.clear()
    assert of(demo.model) == plain


def test_other_weights_are_another_model(demo: Any, of: Callable[[Any], str]) -> None:
    from lora_kiln.host import demo_model

    plain = of(demo.model)
    with torch.inference_mode():
        other = demo_model.load_unet_patcher()
        parameter = other.model.diffusion_model.out[2].bias
        parameter.copy_(parameter + 1e-3)
    assert of(other) != plain


def test_what_cannot_be_hashed_switches_reuse_off(demo: Any) -> None:
    from lora_kiln.host.identity import model_identity

    class Odd:
        """Neither numbers nor a function."""

    model = demo.model.clone()
    model.model_options["odd"] = Odd()
    first, second = model_identity(model), model_identity(model)
    assert not first.reusable
    assert "Odd" in first.reasons[0]
    assert first.digest == second.digest
    model.model_options["odd"] = Odd()
    assert model_identity(model).digest != first.digest


def test_layer_patches_and_options_of_a_clip(demo: Any) -> None:
    from lora_kiln.host.identity import clip_identity

    def of_clip(clip: Any) -> str:
        found = clip_identity(clip)
        assert found.reusable, found.reasons
        return found.digest

    layer, options, weights = (demo.clip.clone() for _ in range(3))
    layer.clip_layer(-2)
    options.set_tokenizer_option("min_padding", 1)
    key = next(n for n in weights.patcher.model.state_dict() if n.endswith("fc1.weight"))
    weights.add_patches({key: (torch.ones(1),)}, 1.0)
    digests = {of_clip(clip) for clip in (demo.clip, layer, options, weights)}
    assert len(digests) == 4
    assert of_clip(demo.clip.clone()) == of_clip(demo.clip)


def test_a_vae_has_one_too(demo: Any) -> None:
    from lora_kiln.host import demo_model
    from lora_kiln.host.identity import vae_identity

    plain = vae_identity(demo.vae)
    with torch.inference_mode():
        again = demo_model._make_vae()
        assert vae_identity(again) == plain
        other = demo_model._make_vae()
        next(iter(other.first_stage_model.parameters())).add_(1e-3)
    assert vae_identity(other).digest != plain.digest
