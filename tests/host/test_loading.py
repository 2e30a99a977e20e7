"""The trained file in the stock loader: every key matched, the same picture as beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

Train = Callable[..., Any]


def test_every_key_is_matched_by_the_stock_loader(
    train: Train, demo: Any, caplog: pytest.LogCaptureFixture
) -> None:
    import comfy.lora
    import comfy.lora_convert
    import comfy.sd

    from lora_kiln.lora_format.family import families

    tensors = load_file(train(steps=1, checkpoint_every=0).result.lora.path)
    keys = comfy.lora.model_lora_keys_unet(demo.model.model, {})
    with caplog.at_level("WARNING"):
        patches = comfy.lora.load_lora(comfy.lora_convert.convert_lora(dict(tensors)), keys)
    assert "not loaded" not in caplog.text
    targets = [
        path
        for path, _ in demo.model.model.diffusion_model.named_modules()
        if families()["sdxl"].is_target(path)
    ]
    assert set(patches) == {f"diffusion_model.{path}.weight" for path in targets}
    assert len(tensors) == 3 * len(targets)
    assert set().union(*(patch.loaded_keys for patch in patches.values())) == set(tensors)
    patched, _ = comfy.sd.load_lora_for_models(demo.model, None, tensors, 1.0, 0.0)
    assert set(patched.patches) == set(patches)


def test_beside_equals_the_stock_loader(train: Train, demo: Any) -> None:
    """Both ways to look at a LoRA, in fp32: within 1e-4 of the latent's range."""
    import comfy.sample
    import comfy.sd
    import comfy.utils

    from lora_kiln.host.cell_sampler import CellSampler
    from lora_kiln.host.lora_shelf import LoraShelf
    from lora_kiln.host.parity import relative_difference
    from lora_kiln.host.text import encode_prompt
    from lora_kiln.sweep.cell_settings import CellSettings
    from lora_kiln.sweep.cells import Cell

    path = train(steps=4, learning_rate=5e-3, checkpoint_every=0).result.lora.path
    settings = CellSettings(
        strength=1.0, cfg=4.0, seed=3, steps=5, prompt="a red circle", negative="blue",
        width_px=128, height_px=96,
    )
    with torch.inference_mode():
        shelf = LoraShelf(demo.model, demo.clip, {"": path})
        lora = shelf.loaded("")
        assert (lora.unmatched, lora.obstacle, lora.touches_text) == ((), "", False)
        assert lora.matched == len(lora.tensors)
        sampler = CellSampler(demo.model, demo.clip, shelf)
        beside = sampler.draw_beside([Cell(0, 0, 0, 0, settings)], lambda _: None)[0]
        patched, clip = comfy.sd.load_lora_for_models(
            demo.model, demo.clip, comfy.utils.load_torch_file(str(path)), 1.0, 1.0
        )
        empty = torch.zeros(1, 4, 12, 16)

        def stock(model: Any) -> torch.Tensor:
            latent: torch.Tensor = comfy.sample.sample(
                model, comfy.sample.prepare_noise(empty, 3), 5, 4.0, "euler", "normal",
                encode_prompt(clip, "a red circle"), encode_prompt(clip, "blue"), empty,
                disable_pbar=True, seed=3,
            )
            return latent[0]

        with_lora, without = stock(patched), stock(demo.model)
    assert demo.model.model.get_dtype_inference() == torch.float32
    assert relative_difference(beside, with_lora) <= 1e-4
    # The LoRA does something, so the two did not agree for nothing.
    assert relative_difference(with_lora, without) > 1e-2


def test_the_trained_model_output_is_the_stock_loaders(train: Train, demo: Any) -> None:
    outcome = train(steps=1, checkpoint_every=0)
    assert outcome.model is not demo.model
    assert set(outcome.model.patches) > set()
    assert not demo.model.patches


def test_the_file_equals_what_was_trained_beside_the_weights(train: Train, demo: Any) -> None:
    """The live adapter and its file through the stock loader, in fp32."""
    import comfy.model_management

    from lora_kiln.core.attach import Attachment
    from lora_kiln.host.model import ComfyDenoiser
    from lora_kiln.trainer import train as training

    live: list[torch.Tensor] = []
    publish = training._Training._publish_final

    def denoise(denoiser: ComfyDenoiser) -> torch.Tensor:
        generator = torch.Generator().manual_seed(1)
        model = denoiser.model.diffusion_model
        values = torch.randn(1, 4, 16, 12, generator=generator)
        context = torch.randn(1, 77, 256, generator=generator)
        extra = torch.randn(1, 160 + 6 * 256, generator=generator)
        with torch.no_grad():
            output: torch.Tensor = model(values, torch.tensor([500.0]), context=context, y=extra)
        return output.clone()

    def publish_and_look(self: Any) -> Any:
        with self._ready():
            live.append(denoise(self.job.denoiser))
        return publish(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training._Training, "_publish_final", publish_and_look)
        outcome = train(steps=4, learning_rate=2e-2, checkpoint_every=0)
    with torch.inference_mode(False), Attachment():
        comfy.model_management.load_models_gpu([outcome.model])
        stock = denoise(ComfyDenoiser(outcome.model, "fp32"))
        comfy.model_management.load_models_gpu([demo.model])
        base = denoise(ComfyDenoiser(demo.model, "fp32"))
    span = float(stock.max() - stock.min())
    assert float((live[0] - stock).abs().max()) <= 1e-4 * span
    assert float((base - stock).abs().max()) > 1e-2 * span
