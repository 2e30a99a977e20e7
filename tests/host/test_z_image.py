"""Training a random Z-Image of ComfyUI's own classes, from pictures to a file that loads whole."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

Train = Callable[..., Any]
Photograph = Callable[[Any], dict[str, Any]]

PRESETS = {"attention": 4, "attention_ff": 10, "linear": 12, "refiners": 30, "all": 34}
"""How many modules each trains: two layers and twice two refiners, half of them modulated."""
CAPTIONS = [
    "a (red:1.4) boat",
    "((very)) [odd] {text}, <|im_end|> and more",
    "she said \"no\", 'yes'",
    r"back\slash, \(bracket\)",
    "ünïcödé, 赤い円, 🔥\ntwo lines",
]


def one(pictures: Any) -> Any:
    """A dataset of a single picture."""
    return replace(pictures, items=pictures.items[3:])


@pytest.mark.usefixtures("comfy")
def test_the_family_is_told_by_what_the_network_is(tiny_zimage_demo: Any) -> None:
    """Not by its width, which is another model's here."""
    from lora_kiln.host.model import family_of

    assert family_of(tiny_zimage_demo.model).name == "z_image"


@pytest.mark.parametrize("text", CAPTIONS)
def test_captions_are_literal(tiny_zimage_demo: Any, text: str) -> None:
    """Its tokenizer knows no emphasis, but it does take a backslash from before a bracket."""
    from lora_kiln.host.text import ComfyTextEncoder, escape

    clip = tiny_zimage_demo.clip
    made = ComfyTextEncoder(clip).encode(text)
    with torch.inference_mode():
        ((stock, extra),) = clip.encode_from_tokens_scheduled(clip.tokenize(escape(text)))
        ((raw, _),) = clip.encode_from_tokens_scheduled(clip.tokenize(text))
    bare = clip.tokenizer.qwen3_4b.tokenizer
    whole = bare(f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n")["input_ids"]
    assert made.tokens.shape == (1, len(whole), 32)
    assert torch.equal(made.tokens, stock.float())
    assert torch.equal(made.extras["attention_mask"], extra["attention_mask"].float())
    assert made.pooled is None
    if "\\(" not in text:
        assert torch.equal(made.tokens, raw.float())


def test_embedding_is_a_word(tiny_zimage_demo: Any) -> None:
    from lora_kiln.host.text import ComfyTextEncoder

    encoder = ComfyTextEncoder(tiny_zimage_demo.clip)
    bare = tiny_zimage_demo.clip.tokenizer.qwen3_4b.tokenizer
    text = "embedding:mine and a embedding:yours"
    whole = bare(f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n")["input_ids"]
    assert encoder.encode(text).tokens.shape[1] == len(whole)


def test_the_hidden_layer_is_the_last_but_one(tiny_zimage_demo: Any) -> None:
    """Output of the third of four layers, without the final norm."""
    from lora_kiln.host.text import ComfyTextEncoder

    clip = tiny_zimage_demo.clip
    network = clip.cond_stage_model.qwen3_4b.transformer.model
    seen: list[torch.Tensor] = []
    hook = network.layers[3].register_forward_pre_hook(
        lambda _module, args, kwargs: seen.append(kwargs.get("x", args[0] if args else None)),
        with_kwargs=True,
    )
    try:
        made = ComfyTextEncoder(clip).encode("a boat")
    finally:
        hook.remove()
    torch.testing.assert_close(made.tokens, seen[-1].float())


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_loads_whole_and_computes_the_same(
    tiny_zimage_demo: Any, preset: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The stock loader's merged model against the adapter beside the weights."""
    from lora_kiln.core.protocols import TextEmbedding
    from lora_kiln.lora_format.family import families
    from lora_kiln.tests.host import one_step
    from lora_kiln.trainer.publish import publish_lora

    model = tiny_zimage_demo.model
    text = TextEmbedding(torch.randn(1, 20, 32), None, {"attention_mask": torch.ones(1, 20)})
    item = one_step.item_of(text, 0, channels=16)
    noisy, sigma = torch.randn(1, 16, 8, 10), torch.tensor([0.6])
    with one_step.bench(model, [item], targets=preset) as ready, torch.no_grad():
        assert len(ready.adapter.parts) == PRESETS[preset]
        live = ready.denoiser.predict(noisy, sigma, [view.cond for (view,) in ready.runner.views])
        lora = ready.adapter.to_lora(families()["z_image"], {})
    path = publish_lora(lora, tmp_path / "z.safetensors", precision="fp32", step=1)
    patched = load_stock(model, path, PRESETS[preset], caplog)
    base, stock = (denoised(each, item, noisy, sigma) for each in (model, patched))
    assert one_step.worst({"": stock}, {"": base}) > 1e-3
    assert one_step.worst({"": live}, {"": stock}) <= 1e-5


def load_stock(model: Any, path: Path, modules: int, caplog: pytest.LogCaptureFixture) -> Any:
    """What the stock loader makes of a file, if it takes every key."""
    import comfy.sd
    import comfy.utils

    with caplog.at_level(logging.WARNING), torch.inference_mode():
        tensors = comfy.utils.load_torch_file(str(path), safe_load=True)
        patched, _ = comfy.sd.load_lora_for_models(model, None, tensors, 1.0, 0.0)
    assert [r.getMessage() for r in caplog.records if "oaded" in r.getMessage()] == []
    assert len(patched.patches) == modules
    return patched


def denoised(model: Any, item: Any, noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The host's own answer of a MODEL, patches merged."""
    import comfy.model_management

    with torch.inference_mode():
        comfy.model_management.load_models_gpu([model])
        answer: torch.Tensor = model.model.apply_model(
            noisy, sigma, c_crossattn=item.embedding.tokens, num_tokens=20
        )
    return answer.clone()


def test_one_picture_is_learned(
    tiny_zimage_demo: Any, train: Train, pictures: Any, photograph: Photograph,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The loss falls to a fraction, the file loads whole, and the model is what it was."""
    import comfy.model_management

    from lora_kiln.trainer.adapter_settings import AdapterSettings

    model = tiny_zimage_demo.model
    with torch.inference_mode():
        comfy.model_management.load_models_gpu([model])
    before = photograph(model)
    outcome = train(
        of=tiny_zimage_demo, dataset=one(pictures), steps=200, learning_rate=3e-3, rank=32,
        batch_size=1, checkpoint_every=0, also={"adapter": AdapterSettings(targets="all")},
    )
    assert photograph(model) == before
    result = outcome.result
    # To 0.35 of it. The model is random: one that always answered zero would have 1.03.
    assert result.probe_start == pytest.approx(2.03, abs=0.05)
    assert result.probe_end < 0.45 * result.probe_start
    assert not any(entry["skipped"] for entry in result.metrics)
    tensors = load_file(result.lora.path)
    assert len(tensors) == 3 * PRESETS["all"]
    load_stock(model, result.lora.path, PRESETS["all"], caplog)


@pytest.mark.parametrize("how", ["error", "cancel"])
def test_the_model_is_what_it_was_when_training_is_broken_off(
    tiny_zimage_demo: Any, train: Train, photograph: Photograph, host: Any, how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import comfy.model_management
    from comfy.model_management import InterruptProcessingException

    from lora_kiln.trainer.step import StepRunner

    model, plain = tiny_zimage_demo.model, StepRunner.losses
    with torch.inference_mode():
        comfy.model_management.load_models_gpu([model])
    before = photograph(model)

    def broken(self: Any, samples: Any, step: int, total: int) -> torch.Tensor:
        losses = plain(self, samples, step, total)
        if step == 1 and how == "error":
            raise RuntimeError("the kiln cracked")
        if step == 1:
            host.cancel_at = host.checks + 1
        return losses

    monkeypatch.setattr(StepRunner, "losses", broken)
    kind = RuntimeError if how == "error" else InterruptProcessingException
    with pytest.raises(kind):
        train(of=tiny_zimage_demo, checkpoint_activations="on", batch_size=2)
    assert photograph(model) == before
    assert (host.loras / "kiln" / "small-001").is_dir()
