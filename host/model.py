"""A MODEL of ComfyUI as something that can be trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import signature
from typing import Any

import comfy.ldm.modules.attention
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import torch
from torch import nn

from ..core.attach import Attachment, autograd_alias
from ..core.errors import HostError, LoraFormatError
from ..core.protocols import Cond, ImageGeometry, TextEmbedding
from ..lora_format.base import family_of_shapes
from ..lora_format.family import Family, families
from ..trainer.frozen import is_foldable
from .base import module_shapes
from .cond_batches import CondBatches
from .identity import compute_dtype_of
from .norms import attach_norms
from .sampling_law import law_of
from .weights import ComfyWeights

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}



def family_of(patcher: comfy.model_patcher.ModelPatcher) -> Family:
    """The family of a loaded model.

    Raises:
        HostError: it is of no family that can be trained.
    """
    network = getattr(patcher.model, "diffusion_model", nn.Module())
    known = ", ".join(sorted(family.title for family in families().values()))
    try:
        family = family_of_shapes(module_shapes(network), "The connected model")
    except LoraFormatError as error:
        raise _unknown(patcher, known) from error
    training = family.training
    named = not training.host_models or _host_name(patcher) in training.host_models
    if training.network_class != type(network).__name__ or not named:
        raise _unknown(patcher, known)
    return family


def _host_name(patcher: comfy.model_patcher.ModelPatcher) -> str:
    """What the host calls such models."""
    return type(getattr(patcher.model, "model_config", patcher.model)).__name__


def _unknown(patcher: comfy.model_patcher.ModelPatcher, known: str) -> HostError:
    return HostError(
        f"The connected model is a '{_host_name(patcher)}'",
        expected=f"a model of a family that LoRA Kiln can train: {known}",
        remedy="Connect a checkpoint of one of these families to the model input",
    )


class ComfyDenoiser:
    """Fulfils ``core.protocols.Denoiser`` for a MODEL.

    The MODEL is cloned: patches and options that other nodes gave it are kept, and nothing that
    is done here reaches the clone it came from.

    Args:
        patcher: the MODEL as the graph hands it over.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        guidance: what a network that takes guidance as an input is told; None for the host's own.
    """

    def __init__(
        self,
        patcher: comfy.model_patcher.ModelPatcher,
        precision: str,
        *,
        guidance: float | None = None,
    ) -> None:
        self.patcher = patcher.clone()
        self.model: comfy.model_base.BaseModel = self.patcher.model
        family = family_of(patcher)
        self.family = family.name
        self._in_place_blocks = family.training.in_place_blocks
        self.device: torch.device = self.patcher.load_device
        self.compute_dtype = DTYPES[precision]
        self.weights = ComfyWeights()
        self.guidance = guidance
        self.sampling = law_of(self.patcher.get_model_object("model_sampling"))
        self._batches = CondBatches(self.model.diffusion_model)
        self._changed_dtype = compute_dtype_of(patcher) != self.compute_dtype
        if self._changed_dtype:
            self.patcher.set_model_compute_dtype(self.compute_dtype)
        self._options = _transformer_options(self.patcher)

    def modules(self) -> Mapping[str, nn.Module]:
        """The network's modules by their path."""
        return dict(self.model.diffusion_model.named_modules())

    def settle(self) -> None:
        """Load the model, so that the host takes off what another clone of it had put on."""
        comfy.model_management.load_models_gpu([self.patcher])

    def fits(self, need_bytes: float) -> bool:
        """Whether it fits; on a card the host makes room, elsewhere memory is shared."""
        management = comfy.model_management
        if self.device.type in ("cpu", "mps"):
            return need_bytes < 0.8 * float(management.get_free_memory(self.device))
        total = float(management.get_total_memory(self.device))
        return need_bytes + float(self.patcher.model_size()) < 0.9 * total

    @contextmanager
    def loaded(self, need_bytes: float) -> Iterator[None]:
        """The model on its device with autograd-friendly small parameters; all put back."""
        management = comfy.model_management
        management.load_models_gpu([self.patcher], memory_required=need_bytes)
        with Attachment() as attachment:
            if hasattr(management, "in_training"):
                attachment.set_attribute(management, "in_training", True)
            self.patcher.pre_run()
            attachment.on_restore(self.patcher.cleanup)
            attach_norms(
                attachment, self.model.diffusion_model, self.weights, self._in_place_blocks
            )
            self._alias_small_parameters(attachment)
            if self._batches.padding is not None:
                self._batches.padding.attach(attachment)
            yield

    def release(self) -> None:
        """Let go of the model; one that computed in another dtype is unloaded.

        The host marks layers for casting when it loads a model with another compute dtype. It
        takes the marks away with the model, but not those of a model that was loaded whole.
        """
        if not self._changed_dtype:
            return
        unload = getattr(comfy.model_management, "unload_model_and_clones", None)
        if unload is None:
            self.patcher.detach()
            return
        every = {"all_devices": True} if "all_devices" in signature(unload).parameters else {}
        unload(self.patcher, **every)
        if not self.patcher.is_dynamic():
            for module in self.model.modules():
                if hasattr(module, "prev_comfy_cast_weights"):
                    comfy.model_patcher.wipe_lowvram_weight(module)

    def condition(
        self, text: TextEmbedding, geometry: ImageGeometry, latent: torch.Tensor
    ) -> Cond:
        """The family's own conditioning, with the picture's true size and crop."""
        told = {} if self.guidance is None else {"guidance": self.guidance}
        conds = self.model.extra_conds(
            cross_attn=text.tokens.to(self.device),
            pooled_output=None if text.pooled is None else text.pooled.to(self.device),
            width=geometry.original_width_px,
            height=geometry.original_height_px,
            crop_w=geometry.crop_left_px,
            crop_h=geometry.crop_top_px,
            target_width=geometry.target_width_px,
            target_height=geometry.target_height_px,
            noise=latent.to(self.device),
            device=self.device,
            **text.extras,
            **told,
        )
        return self._batches.single(
            {
                name: cond.process_cond(batch_size=1, area=None, device=self.device)
                for name, cond in conds.items()
            }
        )

    def predict(
        self, noisy: torch.Tensor, sigma: torch.Tensor, conds: Sequence[Cond]
    ) -> torch.Tensor:
        """Denoised latents from the host's own ``apply_model``."""
        groups = self._batches.groups(conds)
        if len(groups) == 1:
            return self._predict(noisy, sigma, conds)
        parts = [
            self._predict(noisy[group], sigma[group], [conds[place] for place in group])
            for group in groups
        ]
        order = [place for group in groups for place in group]
        back = sorted(range(len(order)), key=order.__getitem__)
        return torch.cat(parts)[back]

    def _predict(
        self, noisy: torch.Tensor, sigma: torch.Tensor, conds: Sequence[Cond]
    ) -> torch.Tensor:
        with self._batches.joined(conds, self.device) as batch:
            denoised: torch.Tensor = self.model.apply_model(
                noisy, sigma, transformer_options=dict(self._options), **batch
            )
        return denoised

    def _alias_small_parameters(self, attachment: Attachment) -> None:
        """Autograd must be allowed to keep a weight that is neither a layer's nor a norm's.

        Not only inference tensors: one that the host moved to another device outside of
        inference mode says that it is none, and yet has no version counter.
        """
        for module in self.model.diffusion_model.modules():
            if is_foldable(module):
                continue
            for name, parameter in list(module._parameters.items()):
                if parameter is not None:
                    attachment.replace_tensor(module, name, autograd_alias(parameter))


def _transformer_options(patcher: comfy.model_patcher.ModelPatcher) -> dict[str, Any]:
    """The MODEL's options, with attention pinned to torch's own, which has a backward.

    Others choose their chunks by free memory or have no gradient at all.
    """
    options = dict(patcher.model_options.get("transformer_options", {}))

    def torch_attention(_function: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        result: torch.Tensor = comfy.ldm.modules.attention.attention_pytorch(*args, **kwargs)
        return result

    options["optimized_attention_override"] = torch_attention
    return options


def require_precision(precision: str, device: torch.device) -> None:
    """Refuse half precision where it cannot work.

    Raises:
        HostError: fp16 on a CPU.
    """
    if precision == "fp16" and device.type == "cpu":
        raise HostError(
            "fp16 training was asked for on a CPU",
            expected="fp32 or bf16 there",
            remedy="Set precision to auto",
        )


def require_trainable(patcher: comfy.model_patcher.ModelPatcher) -> None:
    """Refuse a MODEL that computes with more than its family does.

    Raises:
        HostError: an inpainting model, or one into which another node injects layers.
    """
    if getattr(patcher.model, "concat_keys", ()):
        raise HostError(
            "The connected model is an inpainting model",
            expected="one that draws whole pictures",
            remedy="Train on the checkpoint it was made from; the LoRA works on both",
        )
    injections = [name for name, value in (getattr(patcher, "injections", None) or {}).items()
                  if value]
    if injections:
        raise HostError(
            f"Another node injects layers into the connected model ({', '.join(injections)})",
            expected="a model whose layers are its own while it is trained",
            remedy="Connect the model from before that node, or load LoRAs with the stock loader",
        )
