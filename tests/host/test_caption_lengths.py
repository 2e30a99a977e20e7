"""Captions of any lengths in one batch: each picture counts as if it were alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lora_kiln.core.protocols import TextEmbedding
from lora_kiln.core.seeds import generator

LENGTHS = {
    "sdxl": (77, 154, 77, 231),
    "sd15": (77, 77, 154, 231),
    "z_image": (5, 20, 40, 70),
    "lumina2": (20, 33, 20, 70),
    "flux1": (256, 300, 256, 280),
}
"""Z-Image: the first two come to 32 tokens, then 64 and 96. SDXL: one, two and three chunks. Where
tokens have places and nothing is filled, only captions of one length share a pass."""
WIDTHS = {"sdxl": (256, 160), "sd15": (32, 0), "z_image": (32, 0), "lumina2": (32, 0),
          "flux1": (48, 32)}
"""Of the text, and of the pooled text; 0 for none."""
WIDEST = {"sdxl": "conv", "sd15": "conv", "z_image": "all", "lumina2": "all", "flux1": "linear"}
"""The preset that trains most."""


def embedding(family: str, length: int) -> TextEmbedding:
    """A caption's encoding of a length."""
    width, pooled_width = WIDTHS[family]
    tokens = torch.randn(1, length, width, generator=generator(family, length, "text"))
    if family in ("z_image", "lumina2"):
        return TextEmbedding(tokens, None, {"attention_mask": torch.ones(1, length)})
    pooled = torch.randn(1, pooled_width, generator=generator(family, length, "pooled"))
    return TextEmbedding(tokens, pooled if pooled_width else None, {})


@pytest.fixture
def made(comfy: Path) -> Any:
    """Makes the tiny model of a family, and pictures for it."""
    from lora_kiln.tests.host import one_step, tiny_others, tiny_sdxl, tiny_zimage

    makers = {
        "sdxl": tiny_sdxl.make_model, "sd15": tiny_others.make_sd15,
        "z_image": tiny_zimage.make_model, "lumina2": tiny_others.make_lumina2,
        "flux1": tiny_others.make_flux1,
    }

    def make(family: str) -> Any:
        channels = 4 if family in ("sdxl", "sd15") else 16
        items = [
            one_step.item_of(embedding(family, length), index, channels=channels)
            for index, length in enumerate(LENGTHS[family])
        ]
        return makers[family](), items

    return make


@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("family", LENGTHS)
def test_a_batch_is_the_sum_of_its_pictures(made: Any, family: str, recompute: bool) -> None:
    from lora_kiln.tests.host.one_step import bench, whole, worst

    model, items = made(family)
    with bench(model, items, recompute=recompute, targets=WIDEST[family]) as ready:
        samples = ready.samples()
        together = ready.runner.losses(samples, 0, 4)
        found = ready.gradients(together)
        alone = [ready.runner.losses([sample], 0, 4) for sample in samples]
        apart = [ready.gradients(loss) for loss in alone]
    wanted = {name: torch.stack([part[name] for part in apart]).sum(0) for name in found}
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=0)
    assert whole(found, wanted) <= 1e-5
    # Single tensors collect a little more rounding; the longest of them 1e-5.
    assert worst(found, wanted) <= 3e-5


@pytest.mark.parametrize("family", LENGTHS)
def test_a_single_picture_is_what_the_host_computes(made: Any, family: str) -> None:
    """Against ``apply_model`` of a model to which nothing is attached."""
    from lora_kiln.tests.host.one_step import bench, worst

    model, items = made(family)
    sigma = torch.tensor([0.7])
    noisy = torch.randn(4, *items[0].latent.shape, generator=generator("noisy"))
    wanted = [stock_denoised(model, item, noisy[i], sigma) for i, item in enumerate(items)]
    with bench(model, items) as ready, torch.no_grad():
        for parameter in ready.adapter.parameters():
            parameter.zero_()
        conds = [view.cond for (view,) in ready.runner.views]
        alone = [
            ready.denoiser.predict(noisy[i : i + 1], sigma, [conds[i]]) for i in range(len(items))
        ]
        together = ready.denoiser.predict(noisy, sigma.expand(4), conds)
    for mine, theirs in zip(alone, wanted, strict=True):
        assert worst({"": mine}, {"": theirs}) <= 2e-6
    assert worst({"": together}, {"": torch.cat(wanted)}) <= 2e-6


def stock_denoised(model: Any, item: Any, noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The host's own answer, its conditioning made as its sampler makes it."""
    import comfy.model_management

    geometry = item.geometry
    with torch.inference_mode():
        comfy.model_management.load_models_gpu([model])
        conds = model.model.extra_conds(
            cross_attn=item.embedding.tokens,
            pooled_output=item.embedding.pooled,
            width=geometry.original_width_px, height=geometry.original_height_px,
            crop_w=geometry.crop_left_px, crop_h=geometry.crop_top_px,
            target_width=geometry.target_width_px, target_height=geometry.target_height_px,
            noise=noisy[None], device=model.load_device,
            guidance=1.0,
            **item.embedding.extras,
        )
        ready = {
            name: cond.process_cond(batch_size=1, area=None, device=model.load_device).cond
            for name, cond in conds.items()
        }
        answer: torch.Tensor = model.model.apply_model(noisy[None], sigma, **ready)
    return answer.clone()


def test_a_caption_that_is_dropped_is_the_empty_text(made: Any) -> None:
    """In the family's own template, not nothing: eight tokens of Qwen's chat."""
    from lora_kiln.host.text import ComfyTextEncoder
    from lora_kiln.tests.host import tiny_zimage
    from lora_kiln.tests.host.one_step import bench, item_of, worst

    model, _ = made("z_image")
    clip = tiny_zimage.make_clip()
    encoder = ComfyTextEncoder(clip)
    with torch.inference_mode():
        ((empty, _extra),) = clip.encode_from_tokens_scheduled(clip.tokenize(""))
    tokens = clip.tokenizer.qwen3_4b.tokenizer
    template = "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n"
    (ids,) = clip.tokenize("")["qwen3_4b"]
    assert [token for token, _ in ids] == tokens(template)["input_ids"]
    dropped = encoder.encode("")
    assert torch.equal(dropped.tokens, empty)
    items = [item_of(encoder.encode("a red boat"), 0, channels=16)]
    bare = [item_of(dropped, 0, channels=16)]
    with bench(model, items, empty=dropped, dropout=1.0) as ready:
        found = ready.runner.losses(ready.samples(), 0, 1).detach()
    with bench(model, bare) as ready:
        wanted = ready.runner.losses(ready.samples(), 0, 1).detach()
    with bench(model, items) as ready:
        captioned = ready.runner.losses(ready.samples(), 0, 1).detach()
    assert worst({"": found}, {"": wanted}) == 0
    assert worst({"": found}, {"": captioned}) > 1e-4
