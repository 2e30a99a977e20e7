"""The six numbers that SDXL is told of a picture, read back from the conditioning itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

WIDTH, LARGEST = 256, 8192


@pytest.fixture(scope="module")
def tiny(comfy: Path) -> Any:
    """A small SDXL as a node hands it over: its weights are inference tensors."""
    from lora_kiln.tests.host import tiny_sdxl

    return tiny_sdxl.make_model()


@pytest.fixture(scope="module")
def table() -> torch.Tensor:
    """(8193, 256): every whole number as a sinusoidal embedding, in float64.

    Cosines then sines, of the wavelengths of arXiv 1706.03762, section 3.5; as the networks of
    arXiv 2307.01952 take sizes, section 2.2.
    """
    frequency = 10_000 ** (-torch.arange(WIDTH // 2, dtype=torch.float64) / (WIDTH // 2))
    angle = torch.arange(LARGEST + 1, dtype=torch.float64)[:, None] * frequency
    return torch.cat([angle.cos(), angle.sin()], dim=1)


# Original width and height; left and top of the cut; target width and height.
GEOMETRIES = [
    (1024, 1024, 0, 0, 1024, 1024),
    (4001, 2999, 0, 37, 1216, 832),
    (6143, 4095, 513, 1, 1344, 768),
    (257, 8191, 3, 1111, 512, 2048),
    (33, 77, 255, 259, 64, 80),
]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("numbers", GEOMETRIES)
def test_they_are_the_true_geometry(
    tiny: Any, table: torch.Tensor, numbers: tuple[int, ...], precision: str
) -> None:
    from lora_kiln.core.protocols import ImageGeometry, TextEmbedding
    from lora_kiln.host.demo_model import CLIP_G_WIDTH, CLIP_L_WIDTH
    from lora_kiln.host.model import ComfyDenoiser

    width, height, left, top, target_width, target_height = numbers
    geometry = ImageGeometry(
        original_width_px=width,
        original_height_px=height,
        crop_left_px=left,
        crop_top_px=top,
        target_width_px=target_width,
        target_height_px=target_height,
    )
    # A text encoder in half precision must not pull the sizes down with it.
    dtype = torch.float32 if precision == "fp32" else torch.float16
    pooled = torch.randn(1, CLIP_G_WIDTH).to(dtype)
    tokens = torch.zeros(1, 77, CLIP_L_WIDTH + CLIP_G_WIDTH, dtype=dtype)
    text = TextEmbedding(tokens, pooled, {})
    denoiser = ComfyDenoiser(tiny, precision)
    with torch.inference_mode(False):
        cond = denoiser.condition(text, geometry, torch.zeros(1, 4, 8, 8))
    vector = cond["y"]
    assert vector.dtype == torch.float32
    assert torch.equal(vector[:, :CLIP_G_WIDTH], pooled.float())
    six = vector[0, CLIP_G_WIDTH:].double().reshape(6, WIDTH)
    distance = torch.cdist(six, table)
    found = distance.argmin(dim=1).tolist()
    assert found == [height, width, top, left, target_height, target_width]
    # Single precision is that near; bfloat16 has three digits, and 4001 would be 4000.
    assert (six - table[found]).abs().max() < 2e-3
