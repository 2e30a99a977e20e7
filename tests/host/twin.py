"""One pass through the trainer on a MODEL, to be compared with a plain script of another library.

Import only after ComfyUI is importable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lora_kiln.core.attach import Attachment
from lora_kiln.core.protocols import ImageGeometry, TextEmbedding
from lora_kiln.dataset.prepare import TrainingItem
from lora_kiln.host.model import ComfyDenoiser
from lora_kiln.lora_format.family import families
from lora_kiln.trainer.adapter import LoraAdapter
from lora_kiln.trainer.adapter_settings import AdapterSettings
from lora_kiln.trainer.frozen import attach_frozen
from lora_kiln.trainer.objective_settings import ObjectiveSettings
from lora_kiln.trainer.parts import choose_parts
from lora_kiln.trainer.recipe import make_recipe
from lora_kiln.trainer.step import StepRunner
from lora_kiln.trainer.views import make_views

RANK, ALPHA = 4, 6.0
SQUARE = ImageGeometry(
    original_width_px=1024, original_height_px=1024, crop_left_px=0, crop_top_px=0,
    target_width_px=1024, target_height_px=1024,
)
Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Pass:
    """What came of one forward and backward.

    Attributes:
        losses: of every picture, (B,).
        factors: the adapter's factors, by ``<module_path>.down`` and ``.up``.
        gradients: of the mean loss, by the same names.
        network_inputs: what the network itself was called with: latent and timestep.
    """

    losses: torch.Tensor
    factors: Tensors
    gradients: Tensors
    network_inputs: tuple[torch.Tensor, torch.Tensor]


def random_like(shape: Sequence[int], *, seed: int) -> torch.Tensor:
    """Standard normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make_items(
    latents: torch.Tensor,
    embeddings: Sequence[TextEmbedding],
    geometries: Sequence[ImageGeometry],
) -> list[TrainingItem]:
    """Prepared pictures."""
    return [
        TrainingItem(
            name=str(index), latent=latent, geometry=geometry, embedding=embedding,
            caption=str(index), weight=1.0,
        )
        for index, (latent, embedding, geometry) in enumerate(
            zip(latents, embeddings, geometries, strict=True)
        )
    ]


def train_once(
    model: Any, items: Sequence[TrainingItem], noise: torch.Tensor, times: torch.Tensor,
    *, targets: str,
) -> Pass:
    """Losses and gradients of one microbatch through the host.

    Args:
        model: a MODEL.
        items: the pictures, all in one microbatch.
        noise: (B, C, H, W).
        times: (B,), 0 clean to 1 noise.
        targets: preset of trained modules.
    """
    denoiser = ComfyDenoiser(model, "fp32")
    family = families()[denoiser.family]
    recipe = make_recipe(
        ObjectiveSettings(), denoiser.sampling, family.training.variants["base"],
        family.training.patch,
    )
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    loaded = denoiser.loaded(0.0)
    with torch.inference_mode(False), torch.enable_grad(), loaded, Attachment() as attachment:
        adapter = _adapter(denoiser, AdapterSettings(targets=targets))
        adapter.attach(attachment)
        trained = {id(part.module) for part in adapter.parts.values()}
        others = [m for m in denoiser.modules().values() if id(m) not in trained]
        attach_frozen(attachment, others, denoiser.weights)
        network = denoiser.model.diffusion_model
        hook = network.register_forward_pre_hook(
            lambda _module, inputs: seen.append((inputs[0].detach(), inputs[1].detach()))
        )
        views = make_views(denoiser, items)
        runner = StepRunner(
            denoiser=denoiser, recipe=recipe, views=views, seed=0, microbatch_limit=len(items)
        )
        batch = [view for (view,) in views]
        losses = runner.losses_at(
            batch, [view.cond for view in batch], noise, noise, recipe.law.sigma(times)
        )
        losses.mean().backward()
        hook.remove()
    gradients = {}
    for name, parameter in adapter.named_parameters():
        assert parameter.grad is not None, name
        gradients[name] = parameter.grad
    latent, timestep = (torch.cat([one[part] for one in seen]) for part in (0, 1))
    return Pass(losses.detach(), adapter.state(), gradients, (latent, timestep))


def _adapter(denoiser: ComfyDenoiser, settings: AdapterSettings) -> LoraAdapter:
    """With random ``up`` factors: at zero, ``down`` would have no gradient."""
    parts = choose_parts(
        denoiser.modules(), families()[denoiser.family], settings, rank=RANK, alpha=ALPHA
    )
    adapter = LoraAdapter(parts, denoiser.weights, seed=3, device=denoiser.device)
    state = {
        name: value if name.endswith("down") else 0.05 * random_like(value.shape, seed=index)
        for index, (name, value) in enumerate(adapter.state().items())
    }
    adapter.load(state)
    return adapter


def peft_factors(network: Any, names: Sequence[str]) -> dict[str, torch.nn.Parameter]:
    """Give a network of diffusers plain PEFT adapters; their factors by ``<name>.down``, ``.up``.

    Args:
        network: with ``add_adapter``.
        names: modules that get one.
    """
    from peft import LoraConfig

    network.requires_grad_(False)
    network.add_adapter(LoraConfig(r=RANK, lora_alpha=int(ALPHA), target_modules=list(names)))
    ends = {".lora_A.default.weight": ".down", ".lora_B.default.weight": ".up"}
    factors = {}
    for name, parameter in network.named_parameters():
        for end, ours in ends.items():
            if name.endswith(end):
                factors[name.removesuffix(end) + ours] = parameter
    assert len(factors) == 2 * len(names)
    return factors


def relative_error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """``|found - wanted| / |wanted|``, in float64."""
    wanted = wanted.double()
    return float((found.double() - wanted).norm() / wanted.norm())


def largest_error(found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> float:
    """The largest relative error of any tensor."""
    assert found.keys() == wanted.keys()
    assert all(float(value.norm()) > 0 for value in wanted.values())
    return max(relative_error(found[name], wanted[name]) for name in wanted)
