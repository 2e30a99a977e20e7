"""``core.protocols.Denoiser`` for a UNet of diffusers: the second implementation.

Its mathematics is diffusers' own (network, DDPM schedule); only the language is ours, in which
the noise level is a sigma and the network's answer the denoised picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import nn

from lora_kiln.core.protocols import Cond, FetchedWeight, ImageGeometry, TextEmbedding
from lora_kiln.lora_format.architectures.ldm_unet import LdmUnet
from lora_kiln.lora_format.family import Family
from lora_kiln.lora_format.training import Preview, Training, Variant
from lora_kiln.trainer.law import LEAST_ALPHA_BAR, DiscreteLaw

TEXT_WIDTH, TOKENS = 8, 5
TARGETS = r"(attn[12]\.to_(q|k|v|out\.0)|ff\.net\.(0\.proj|2)|proj_(in|out)|conv1)$"
FAMILY = Family(
    name="tiny",
    title="Tiny",
    base_version="tiny",
    architecture="tiny/lora",
    network=LdmUnet(
        channels=16, multiples=(1, 2), resnets=1, depths=(1, 0), middle_depth=1,
        context=8, extra=0, linear_projections=False,
    ),
    text_encoders={},
    key_prefixes={"unet": "lora_unet_"},
    stock_forms={"unet": ("lora_unet_{own_flat}",)},
    diffusers_prefix="unet.",
    training=Training(
        network_class="UNet2DConditionModel",
        presets={"most": TARGETS},
        preset="most",
        blocks=((r"^(?:down|up)_blocks\.(\d+)", "block"),),
        checkpointed=("BasicTransformerBlock", "ResnetBlock2D"),
        bucket_step_px=8,
        variants={"base": Variant(title="Tiny", preview=Preview())},
    ),
)


def make_unet(seed: int = 0) -> Any:
    """About 100,000 weights: Linear and Conv2d, strided convolution and attention."""
    torch.manual_seed(seed)
    unet: Any = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=8,
        norm_num_groups=8,
    )
    return unet.requires_grad_(False)


def make_schedule(prediction: str = "eps", zero_terminal: bool = False) -> Any:
    """The schedule SDXL was trained with, or that of its v-prediction offspring."""
    schedule: Any = DDPMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type={"eps": "epsilon", "v": "v_prediction"}[prediction],
        rescale_betas_zero_snr=zero_terminal,
    )
    # diffusers ends at exactly zero, where no sigma is finite; hosts hold it just above.
    schedule.alphas_cumprod = schedule.alphas_cumprod.double().clamp(min=LEAST_ALPHA_BAR)
    return schedule


def make_law(prediction: str = "eps", zero_terminal: bool = False) -> DiscreteLaw:
    """sigma = sqrt((1 - abar) / abar): noise per unit of picture."""
    abar = make_schedule(prediction, zero_terminal).alphas_cumprod
    return DiscreteLaw(prediction=prediction, sigmas=((1 - abar) / abar).sqrt())


class PlainWeights:
    """Weights that lie where they are; counts what is fetched and released."""

    def __init__(self) -> None:
        self.fetched = 0
        self.released = 0

    def fetch(self, module: nn.Module, like: torch.Tensor) -> FetchedWeight:
        self.fetched += 1
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        return FetchedWeight(weight.to(like), None, self._release)

    def _release(self) -> None:
        self.released += 1


class DiffusersDenoiser:
    """Fulfils ``core.protocols.Denoiser``."""

    family = "tiny"
    device = torch.device("cpu")
    compute_dtype = torch.float32

    def __init__(
        self, unet: Any, prediction: str = "eps", zero_terminal: bool = False
    ) -> None:
        self.unet = unet
        self.weights = PlainWeights()
        self.sampling = make_law(prediction, zero_terminal)

    def modules(self) -> Mapping[str, nn.Module]:
        return dict(self.unet.named_modules())

    def fits(self, need_bytes: float) -> bool:
        return True

    @contextmanager
    def loaded(self, need_bytes: float) -> Iterator[None]:
        yield

    def condition(
        self, text: TextEmbedding, geometry: ImageGeometry, latent: torch.Tensor
    ) -> Cond:
        return {"tokens": text.tokens}

    def predict(
        self, noisy: torch.Tensor, sigma: torch.Tensor, conds: Sequence[Cond]
    ) -> torch.Tensor:
        size = sigma.view(-1, 1, 1, 1)
        scaled = noisy / (size.square() + 1).sqrt()
        tokens = torch.cat([cond["tokens"] for cond in conds])
        timesteps = (self.sampling.sigmas[None] - sigma[:, None].double()).abs().argmin(1)
        output: torch.Tensor = self.unet(scaled, timesteps, tokens).sample
        if self.sampling.prediction == "eps":
            return noisy - size * output
        return noisy / (size.square() + 1) - output * size / (size.square() + 1).sqrt()


def geometry(side_px: int = 64) -> ImageGeometry:
    return ImageGeometry(
        original_width_px=side_px,
        original_height_px=side_px,
        crop_left_px=0,
        crop_top_px=0,
        target_width_px=side_px,
        target_height_px=side_px,
    )


def embedding(seed: int) -> TextEmbedding:
    generator = torch.Generator().manual_seed(seed)
    return TextEmbedding(torch.randn(1, TOKENS, TEXT_WIDTH, generator=generator), None, {})
