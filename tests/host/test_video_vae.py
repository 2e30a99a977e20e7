"""VAEs of video models, which image models such as Qwen-Image use, give pictures with frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import Cell

CHANNELS = 16


@pytest.fixture(scope="module")
def vae(comfy: Path) -> Any:
    """ComfyUI's own Wan VAE with few channels and random weights."""
    from comfy.ldm.wan.vae import WanVAE
    from comfy.sd import VAE

    torch.manual_seed(0)
    with torch.inference_mode():
        made = WanVAE(
            dim=8, z_dim=CHANNELS, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[],
            temperal_downsample=[False, True, True], image_channels=3, conv_out_channels=3,
        )
        for parameter in made.parameters():
            parameter.normal_(0, 0.2)
        return VAE(sd=made.state_dict())


def of_host(vae: Any) -> Any:
    from lora_kiln.host.vae import ComfyVae
    from lora_kiln.tests.host import tiny_zimage

    return ComfyVae(vae, tiny_zimage.make_model())


def latents(count: int) -> torch.Tensor:
    return torch.randn(count, CHANNELS, 1, 6, 8, generator=torch.Generator().manual_seed(1))


def test_one_picture_for_each_latent(vae: Any) -> None:
    raw, own = latents(3), of_host(vae)
    with torch.inference_mode():
        together = own.decode_raw(raw)
        assert vae.decode(raw).ndim == 5
        assert together.shape == (3, 48, 64, 3)
        for number in range(3):
            alone = own.decode_raw(raw[number : number + 1])
            torch.testing.assert_close(alone[0], together[number], atol=1e-5, rtol=0)


def test_the_first_of_several_frames_is_the_picture(vae: Any, monkeypatch: Any) -> None:
    """Some decoders make several frames of one latent: as many pictures as cells are kept."""
    own, frames = of_host(vae), torch.rand(2, 4, 8, 8, 3)
    monkeypatch.setattr(vae, "decode", lambda _latents: frames)
    assert torch.equal(own.decode_raw(latents(2)), frames[:, 0])


def test_a_batch_of_cells_has_a_picture_each(vae: Any) -> None:
    from lora_kiln.host.sweep_drawing import BatchDrawer, Piece
    from lora_kiln.host.sweep_jobs import Job
    from lora_kiln.tests.host.test_sweeping import Watcher

    class Sampler:
        """Hands out latents with a time axis, as ComfyUI does for such models."""

        def draw_beside(self, cells: Any, on_step: Any) -> torch.Tensor:
            return latents(len(cells))

    unchecked: Any = BatchDrawer
    drawer = unchecked(Sampler(), of_host(vae), Watcher(), lambda step, count: None)
    cells = [Cell(n, 0, 0, n, CellSettings(seed=n)) for n in range(3)]
    with torch.inference_mode():
        (piece,) = drawer.draw([Job(cell, (cell.index,)) for cell in cells])
    assert isinstance(piece, Piece)
    assert len({picture.tobytes() for picture in piece.pictures}) == 3
    assert {(type(p), p.size) for p in piece.pictures} == {(Image.Image, (64, 48))}
