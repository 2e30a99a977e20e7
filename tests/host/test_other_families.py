"""SD 1.5, Lumina 2 and Flux.1 train; what is none of the known families is refused."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lora_kiln.core.errors import HostError

Train = Callable[..., Any]
MODULES = {"sd15": 192, "lumina2": 10, "flux1": 20}
STRANGERS = (
    "SDXLRefiner", "SD20", "SDXL_instructpix2pix", "FluxInpaint", "Chroma", "Flux2",
    "ZImagePixelSpace",
)


@pytest.fixture
def made(comfy: Any, demo: Any, request: pytest.FixtureRequest) -> Any:
    """MODEL, CLIP and VAE of a family, all random."""
    from lora_kiln.tests.host import tiny_others, tiny_zimage

    if request.param == "sd15":
        return type(demo)(tiny_others.make_sd15(), tiny_others.make_sd15_clip(), demo.vae)
    if request.param == "lumina2":
        return type(demo)(
            tiny_others.make_lumina2(), tiny_zimage.make_clip(), tiny_zimage.make_vae()
        )
    return type(demo)(
        tiny_others.make_flux1(), tiny_others.make_flux1_clip(), tiny_zimage.make_vae()
    )


@pytest.mark.parametrize("made", MODULES, indirect=True)
def test_two_steps_and_a_file_that_loads_whole(
    made: Any, train: Train, photograph: Any, caplog: pytest.LogCaptureFixture
) -> None:
    import comfy.model_management
    import comfy.sd
    import comfy.utils

    from lora_kiln.host.model import family_of

    family = family_of(made.model).name
    with torch.inference_mode():
        comfy.model_management.load_models_gpu([made.model])
    before = photograph(made.model)
    result = train(of=made, steps=2, caption_dropout=0.3).result
    assert photograph(made.model) == before
    assert [math.isfinite(entry["loss"]) for entry in result.metrics] == [True, True]
    assert not any(entry["skipped"] for entry in result.metrics)
    assert result.lora.family == family
    tensors = load_file(result.lora.path)
    with caplog.at_level(logging.WARNING), torch.inference_mode():
        loaded = comfy.utils.load_torch_file(str(result.lora.path), safe_load=True)
        patched, _ = comfy.sd.load_lora_for_models(made.model, None, loaded, 1.0, 0.0)
    assert [r.getMessage() for r in caplog.records if "oaded" in r.getMessage()] == []
    assert len(patched.patches) == len(tensors) // 3 == MODULES[family]


@pytest.mark.parametrize("schnell", [False, True], ids=["dev", "schnell"])
@pytest.mark.usefixtures("comfy")
def test_flux_is_told_the_guidance_it_was_not_distilled_with(
    schnell: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1: dev answers as the undistilled model does. Schnell takes none."""
    from lora_kiln.core.protocols import TextEmbedding
    from lora_kiln.host.model import family_of
    from lora_kiln.host.model_kind import variant_of
    from lora_kiln.tests.host import tiny_others
    from lora_kiln.tests.host.one_step import bench, item_of

    model = tiny_others.make_flux1(schnell=schnell)
    kind = variant_of(model, family_of(model))
    assert kind.title == ("Flux.1 schnell" if schnell else "Flux.1 dev")
    text = TextEmbedding(torch.randn(1, 256, 48), torch.randn(1, 32), {})
    told: list[Any] = []
    network = model.model.diffusion_model
    plain = network.forward_orig

    def watched(*args: Any, **kwargs: Any) -> Any:
        told.append(args[6] if len(args) > 6 else kwargs["guidance"])
        return plain(*args, **kwargs)

    monkeypatch.setattr(network, "forward_orig", watched)
    with bench(model, [item_of(text, 0, channels=16), item_of(text, 1, channels=16)]) as ready:
        ready.gradients(ready.runner.losses(ready.samples(), 0, 2))
    if not schnell:
        assert [value.tolist() for value in told] == [[1.0, 1.0]]


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.usefixtures("comfy")
def test_a_stranger_is_refused_with_the_list(stranger: str, train: Train, host: Any) -> None:
    from lora_kiln.tests.host import tiny_others

    model = tiny_others.STRANGERS[stranger]()
    with pytest.raises(HostError) as caught:
        train(model=model)
    assert f"is a '{stranger}'" in str(caught.value)
    for title in ("SDXL", "SD 1.5", "Z-Image", "Lumina 2", "Flux.1"):
        assert title in str(caught.value)
    assert host.written() == []
