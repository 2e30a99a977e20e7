"""Pictures by a connected CLIP_VISION, and prompts by its partner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lora_kiln.core.errors import HostError
from lora_kiln.tests.sweep.score_cases import blobs


def named(*pictures: Image.Image) -> list[Any]:
    from lora_kiln.host.vision import NamedPicture
    from lora_kiln.sweep.look import look_at

    return [NamedPicture(look_at(picture).sha256, picture) for picture in pictures]


def make(kind: str = "clip", **changes: Any) -> Any:
    from lora_kiln.tests.host.tiny_vision import make_vision

    return make_vision(kind, **changes)


@pytest.mark.usefixtures("comfy")
@pytest.mark.parametrize(("kind", "width"), [("clip", 48), ("siglip", 32), ("dinov2", 32)])
def test_vectors_are_those_of_the_stock_encoder(kind: str, width: int, tmp_path: Path) -> None:
    from lora_kiln.host.vision import VisionModel

    stock = make(kind)
    pictures = [blobs(1), blobs(2), blobs(3, (64, 96)), blobs(4, (64, 96)), blobs(5)]
    model = VisionModel(stock, tmp_path)
    found = list(model.embed(named(*pictures)))
    assert str(width) in model.name
    for vector, picture in zip(found, pictures, strict=True):
        pixels = torch.from_numpy(np.asarray(picture).copy())[None].float() / 255
        with torch.no_grad():
            expected = stock.encode_image(pixels, crop=True)["image_embeds"][0].float()
        if kind == "siglip":
            expected = expected.mean(0)
        assert vector == pytest.approx((expected / expected.norm()).numpy(), abs=1e-5)
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.usefixtures("comfy")
def test_what_was_embedded_once_is_read_ever_after(tmp_path: Path) -> None:
    from lora_kiln.host.vision import VisionModel

    stock = make()
    first = list(VisionModel(stock, tmp_path).embed(named(*map(blobs, range(12)))))
    calls: list[int] = []
    plain = stock.encode_image

    def counted(pixels: torch.Tensor, crop: bool) -> Any:
        calls.append(len(pixels))
        return plain(pixels, crop=crop)

    stock.encode_image = counted
    again = list(VisionModel(stock, tmp_path).embed(named(*map(blobs, range(14)))))
    assert calls == [2]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=False))
    damaged = next(tmp_path.rglob("*.safetensors"))
    damaged.write_bytes(b"torn")
    mended = list(VisionModel(stock, tmp_path).embed(named(*map(blobs, range(14)))))
    assert calls == [2, 1]
    assert all(a == pytest.approx(b, abs=1e-5) for a, b in zip(again, mended, strict=True))


@pytest.mark.usefixtures("comfy")
def test_another_vision_model_has_other_vectors() -> None:
    from lora_kiln.host.identity import vision_identity

    one, same, other = make(), make(), make(image_size=42)
    changed = make()
    with torch.no_grad():
        next(changed.model.parameters()).add_(1.0)
    digests = [vision_identity(model).digest for model in (one, same, other, changed)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    assert vision_identity(one).reusable


@pytest.mark.usefixtures("comfy")
def test_few_pictures_are_held_at_a_time(tmp_path: Path) -> None:
    from lora_kiln.host.vision import MOST_IN_BATCH, VisionModel

    taken, given_back = 0, 0

    def stream() -> Any:
        nonlocal taken
        for picture in named(*(blobs(n, (32, 32)) for n in range(40))):
            taken += 1
            assert taken - given_back <= MOST_IN_BATCH + 1
            yield picture

    for _ in VisionModel(make(), tmp_path).embed(stream()):
        given_back += 1
    assert given_back == 40


@pytest.mark.usefixtures("comfy")
def test_broken_weights_are_told(tmp_path: Path) -> None:
    from lora_kiln.host.vision import VisionModel

    broken = make()
    with torch.no_grad():
        next(broken.model.parameters()).fill_(float("nan"))
    with pytest.raises(HostError, match="not finite"):
        list(VisionModel(broken, tmp_path).embed(named(blobs(1))))


@pytest.fixture(scope="module")
def wide_clip(comfy: Path) -> Any:
    """SDXL's pair of text encoders, whose l part has its real width of 768."""
    del comfy
    return make_wide_clip()


def make_wide_clip() -> Any:
    import comfy.sd
    import comfy.sdxl_clip
    import comfy.supported_models_base

    from lora_kiln.host.demo_model import _text_config, _weights_at_once

    target = comfy.supported_models_base.ClipTarget(
        comfy.sdxl_clip.SDXLTokenizer, comfy.sdxl_clip.SDXLClipModel
    )
    options = {
        "clip_l_model_config": _text_config(768, heads=12, activation="quick_gelu"),
        "clip_g_model_config": _text_config(160, heads=5, activation="gelu"),
    }
    with _weights_at_once(), torch.no_grad():
        clip = comfy.sd.CLIP(target, model_options=options)
        for index, tensor in enumerate(clip.cond_stage_model.parameters()):
            torch.nn.init.normal_(tensor, std=0.03, generator=torch.Generator().manual_seed(index))
    return clip


def test_only_the_known_partner_is_paired(wide_clip: Any) -> None:
    from lora_kiln.host.text_tower import matching_tower

    tower = matching_tower(wide_clip, make(projection_dim=768))
    assert tower is not None
    assert (tower.part, tower.trusted) == ("l", False)
    # bigG's vision model, but this clip_g is not 1280 wide; ViT-H has no text encoder in SDXL.
    assert matching_tower(wide_clip, make(projection_dim=1280)) is None
    assert matching_tower(wide_clip, make(projection_dim=1024)) is None
    assert matching_tower(wide_clip, make("dinov2", hidden_size=768)) is None


def test_texts_go_through_the_towers_projection(wide_clip: Any) -> None:
    from lora_kiln.host.text_tower import TOWERS, embed_texts

    with torch.inference_mode():
        found = embed_texts(wide_clip, TOWERS[1], ["a boat", "a tree", "a boat"])
        tokens = wide_clip.tokenize("a boat")["l"]
        encoder = wide_clip.cond_stage_model.clip_l
        ids = torch.tensor([[pair[0] for pair in tokens[0]]])
        # By the transformer itself: last layer, end token, projection.
        out = encoder.transformer(ids, embeds=None)[2][0].float().numpy()
    assert set(found) == {"a boat", "a tree"}
    assert found["a boat"] == pytest.approx(out / np.linalg.norm(out), abs=1e-4)
    assert found["a boat"] @ found["a tree"] < 0.9999


def test_a_pairing_must_fit_the_captions() -> None:
    from lora_kiln.host.text_tower import TOWERS, pairing_note

    chance = np.random.default_rng(0)
    captions = [f"picture {n}" for n in range(12)]
    rows = chance.normal(size=(12, 16))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    texts = dict(zip(captions, rows, strict=True))
    usable, note = pairing_note(TOWERS[0], texts, captions, rows)
    assert usable
    assert "bigG" in note
    unrelated = chance.normal(size=(12, 16))
    usable, note = pairing_note(TOWERS[0], texts, captions, unrelated)
    assert not usable
    assert "is not used" in note
    # Too few captions to try it: only what always has its projection is taken, and told.
    few = pairing_note(TOWERS[0], texts, captions[:2], rows[:2])
    assert few[0]
    assert "unconfirmed" in few[1]
    assert not pairing_note(TOWERS[1], texts, captions[:2], rows[:2])[0]
    broken = {**texts, "picture 0": np.full(16, np.nan)}
    assert not pairing_note(TOWERS[0], broken, captions, rows)[0]


def test_a_partner_that_does_not_fit_is_left_out_with_its_reason(
    wide_clip: Any, host: Any, tmp_path: Path
) -> None:
    from lora_kiln.dataset.items import Dataset, DatasetItem, PictureArray
    from lora_kiln.host.scoring import ScoreRequest, score_sweep
    from lora_kiln.tests.sweep.score_cases import make_plan, save_sweep

    sweep = save_sweep(tmp_path / "sweep", make_plan(), {0: blobs(1), 1: blobs(2)})
    items = tuple(
        DatasetItem(str(n), PictureArray(str(n), np.asarray(blobs(n))), f"kp, thing {n}")
        for n in range(8)
    )
    request = ScoreRequest(
        sweep=sweep, dataset=Dataset(items, "things"), clip=wide_clip, trigger="kp",
        clip_vision=make(projection_dim=768),
    )
    with torch.inference_mode():
        scored = score_sweep(request, host)
    assert "prompt" not in scored.found
    assert any("ViT-L/14 is not used" in note for note in scored.notes)
