"""Small real models of the libraries, LoRAs on them, and what both sides make of a weight.

A *state* is a network's weights and biases under the model's own names, whatever names the library
has for them; fused modules are put together from their parts.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lora_kiln.lora_format.architecture import Architecture
from lora_kiln.lora_format.architectures.clip_text import ClipText
from lora_kiln.lora_format.architectures.flux import Flux
from lora_kiln.lora_format.architectures.ldm_unet import LdmUnet
from lora_kiln.lora_format.architectures.lumina import Lumina
from lora_kiln.lora_format.bake import total_change
from lora_kiln.lora_format.convert import Conversion
from lora_kiln.lora_format.ir import NETWORK, LoraFile, Target
from lora_kiln.lora_format.read import Base
from lora_kiln.lora_format.table import ModuleTable, Network, built_in

State = dict[str, torch.Tensor]
States = dict[str, State]
"""States by component."""

UNET = LdmUnet(
    channels=32,
    multiples=(1, 2, 2),
    resnets=1,
    depths=(0, 1, 2),
    middle_depth=2,
    context=40,
    extra=68,
    linear_projections=True,
)
CLIP_L = ClipText(width=16, layers=2, tokens=50)
CLIP_G = ClipText(width=24, layers=3, projection=20, tokens=50)
Z_IMAGE = Lumina(
    width=96,
    layers=2,
    key_width=96,
    hidden=256,
    head_width=16,
    caption_width=20,
    modulation_width=96,
    modulation_index=0,
    timestep_hidden=1024,
    latent_channels=4,
)
LUMINA2 = Lumina(
    width=48,
    layers=2,
    key_width=24,
    hidden=192,
    head_width=12,
    caption_width=40,
    modulation_width=48,
    modulation_index=1,
    timestep_hidden=48,
)
FLUX = Flux(
    width=32,
    doubles=1,
    singles=2,
    context=40,
    pooled=24,
    guidance=True,
    pixels=16,
    head_width=16,
)


def _from_diffusers(name: str, **sizes: Any) -> nn.Module:
    import diffusers

    if not hasattr(diffusers, name):
        pytest.skip(f"diffusers {diffusers.__version__} has no {name}")
    made = getattr(diffusers, name)(**sizes)
    assert isinstance(made, nn.Module)
    return made


def _unet() -> nn.Module:
    return _from_diffusers(
        "UNet2DConditionModel",
        sample_size=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        transformer_layers_per_block=(1, 1, 2),
        cross_attention_dim=UNET.context,
        attention_head_dim=(2, 4, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=UNET.extra,
        norm_num_groups=8,
    )


def _clip(sizes: ClipText) -> nn.Module:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    kind = CLIPTextModelWithProjection if sizes.projection else CLIPTextModel
    return kind(
        CLIPTextConfig(
            vocab_size=sizes.tokens,
            hidden_size=sizes.width,
            intermediate_size=4 * sizes.width,
            num_hidden_layers=sizes.layers,
            num_attention_heads=2,
            projection_dim=sizes.projection or 16,
            eos_token_id=sizes.tokens - 1,
        )
    )


def _z_image() -> nn.Module:
    return _from_diffusers(
        "ZImageTransformer2DModel",
        in_channels=4,
        dim=96,
        n_layers=2,
        n_heads=6,
        n_kv_heads=6,
        cap_feat_dim=20,
        axes_dims=[4, 4, 8],
        axes_lens=[16, 8, 8],
    )


def _lumina2() -> nn.Module:
    return _from_diffusers(
        "Lumina2Transformer2DModel",
        sample_size=16,
        hidden_size=48,
        num_layers=2,
        num_attention_heads=4,
        num_kv_heads=2,
        multiple_of=16,
        cap_feat_dim=40,
        axes_dim_rope=(4, 4, 4),
        axes_lens=(30, 16, 16),
    )


def _flux() -> nn.Module:
    return _from_diffusers(
        "FluxTransformer2DModel",
        in_channels=16,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=40,
        pooled_projection_dim=24,
        guidance_embeds=True,
        axes_dims_rope=(4, 4, 8),
    )


@dataclass(frozen=True)
class Kind:
    """A small model of a family.

    Attributes:
        family: the family's name.
        networks: its sizes, by component.
        make: makes the library's modules, by component.
        pipeline: name of diffusers' pipeline class, which writes LoRA files.
        host: what ComfyUI's model of these sizes has other than the published one.
    """

    family: str
    networks: Mapping[str, Architecture]
    make: Mapping[str, Callable[[], nn.Module]]
    pipeline: str
    host: Mapping[str, Any] = field(default_factory=dict)

    @property
    def table(self) -> ModuleTable:
        """Its modules."""
        return _table(self.family)

    @property
    def base(self) -> Base:
        """What the reader is told."""
        return Base(family=self.family, table=self.table)

    def modules(self, *components: str) -> dict[str, nn.Module]:
        """The library's modules with random weights, the same each time."""
        return {name: copy.deepcopy(_made(self.family, name)) for name in components}


KINDS = {
    kind.family: kind
    for kind in (
        Kind(
            "sdxl",
            {NETWORK: UNET, "clip_l": CLIP_L, "clip_g": CLIP_G},
            {NETWORK: _unet, "clip_l": lambda: _clip(CLIP_L), "clip_g": lambda: _clip(CLIP_G)},
            "StableDiffusionXLPipeline",
            {
                "model_channels": 32,
                "channel_mult": [1, 2, 2],
                "num_res_blocks": [1, 1, 1],
                "transformer_depth": [0, 1, 2],
                "transformer_depth_output": [0, 0, 1, 1, 2, 2],
                "transformer_depth_middle": 2,
                "context_dim": 40,
                "adm_in_channels": 68,
                "num_head_channels": 16,
            },
        ),
        Kind(
            "z_image",
            {NETWORK: Z_IMAGE},
            {NETWORK: _z_image},
            "ZImagePipeline",
            {
                "in_channels": 4,
                "dim": 96,
                "cap_feat_dim": 20,
                "n_layers": 2,
                "n_heads": 6,
                "n_kv_heads": 6,
                "axes_dims": [4, 4, 8],
            },
        ),
        Kind(
            "lumina2",
            {NETWORK: LUMINA2},
            {NETWORK: _lumina2},
            "Lumina2Pipeline",
            {
                "dim": 48,
                "cap_feat_dim": 40,
                "n_layers": 2,
                "n_heads": 4,
                "n_kv_heads": 2,
                "axes_dims": [4, 4, 4],
            },
        ),
        Kind(
            "flux1",
            {NETWORK: FLUX},
            {NETWORK: _flux},
            "FluxPipeline",
            {
                "in_channels": 4,
                "out_channels": 4,
                "hidden_size": 32,
                "num_heads": 2,
                "depth": 1,
                "depth_single_blocks": 2,
                "context_in_dim": 40,
                "vec_in_dim": 24,
                "axes_dim": [4, 4, 8],
            },
        ),
    )
}


@cache
def _table(family: str) -> ModuleTable:
    return built_in(KINDS[family].networks)


@cache
def _made(family: str, component: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return KINDS[family].make[component]().requires_grad_(False)


def fill(module: nn.Module, marks: tuple[str, ...], seed: int = 0) -> None:
    """Give every trained tensor values, as if it had been trained.

    Args:
        module: whatever holds them.
        marks: parts of the names of trained tensors.
        seed: other values.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.named_parameters():
            if any(mark in name for mark in marks) and not name.endswith("alpha"):
                noise = torch.randn(tensor.shape, generator=generator).to(tensor.dtype)
                is_size = any(mark in name for mark in ("magnitude", "dora_scale", "rescale"))
                tensor.copy_(tensor * (1 + 0.2 * noise) if is_size else 0.3 * noise)


def state_of(module: nn.Module, network: Network) -> State:
    """A library's module as a state, in float64."""
    state: State = {}
    for name, tensor in module.state_dict().items():
        name = name.replace(".base_layer.", ".").removeprefix("base_model.model.")
        stem, _, kind = name.rpartition(".")
        target = network.find(stem)
        if target is None or kind not in ("weight", "bias"):
            continue
        shape = network.shapes[target.module_path] if kind == "weight" else ()
        rows = network.shapes[target.module_path][0]
        whole = state.setdefault(
            f"{target.module_path}.{kind}",
            torch.full(shape or (rows,), torch.nan, dtype=torch.float64),
        )
        whole[slice(*target.rows) if target.rows else slice(None)] = tensor.to(torch.float64)
    return state


def states_of(modules: Mapping[str, nn.Module], kind: Kind) -> States:
    """All networks' states."""
    return {name: state_of(module, kind.table[name]) for name, module in modules.items()}


@dataclass(frozen=True)
class Weights:
    """States as the base model that baking asks for."""

    states: States

    def weight(self, target: Target) -> torch.Tensor:
        """The weight that a target names."""
        found = self.states[target.component][f"{target.module_path}.weight"]
        return found if target.rows is None else found[slice(*target.rows)]


def write(folder: Path, tensors: Mapping[str, torch.Tensor], **metadata: str) -> Path:
    """A safetensors file."""
    path = folder / "lora.safetensors"
    kept = {key: tensor.detach().contiguous() for key, tensor in tensors.items()}
    save_file(kept, path, metadata or None)
    return path


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """PEFT's settings beside a file."""
    (folder / "adapter_config.json").write_text(json.dumps(config))


def our_change(lora: LoraFile, before: States) -> States:
    """What a LoRA adds at strength 1, as ``lora_format`` computes it."""
    found: States = {name: {} for name in before}
    for layer in lora.layers:
        added = {"weight": layer.factors.get("w_norm"), "bias": layer.factors.get("b_norm")}
        if layer.algorithm == "bias":
            added = {"bias": layer.factors["diff_b"]}
        elif layer.algorithm != "norm":
            added = {"weight": total_change(layer, Weights(before).weight(layer.target))}
        state = before[layer.target.component]
        for kind, value in added.items():
            if value is not None:
                key = f"{layer.target.module_path}.{kind}"
                whole = found[layer.target.component].setdefault(key, torch.zeros_like(state[key]))
                part = whole if layer.target.rows is None else whole[slice(*layer.target.rows)]
                part += value.reshape(part.shape)
    return found


def hosts_result(
    conversion: Conversion, kind: Kind, before: States, exact: torch.dtype = torch.float64
) -> States:
    """What ComfyUI's stock loader makes of all weights with the converted file."""
    from lora_kiln.tests.lora_format import comfy_models

    prefixes = {
        name: "diffusion_model." if name == NETWORK else f"{name}.transformer." for name in before
    }
    names = _names_read(kind.family, len(kind.networks) > 1)
    weights = {
        prefixes[name] + key: tensor.to(exact)
        for name, state in before.items()
        for key, tensor in state.items()
    }
    changed = comfy_models.apply(
        comfy_models.load(conversion.written.tensors, names), weights, exact
    )
    return {
        name: {
            key: changed.get(prefixes[name] + key, tensor).to(torch.float64)
            for key, tensor in state.items()
        }
        for name, state in before.items()
    }


@cache
def _names_read(family: str, with_clip: bool) -> dict[str, Any]:
    from lora_kiln.tests.lora_format import comfy_models

    models: list[nn.Module] = [comfy_models.make_model(family, **KINDS[family].host)]
    if with_clip:
        models.append(comfy_models.make_clip(family))
    return comfy_models.names_read(models)


def changes(before: States, after: States) -> States:
    """What was added, where anything was."""
    return {
        name: {
            key: after[name][key] - tensor
            for key, tensor in state.items()
            if not torch.equal(after[name][key], tensor)
        }
        for name, state in before.items()
    }


def worst(found: States, expected: States) -> tuple[float, str]:
    """The largest relative error of a module; infinite where only one side changes it."""
    errors = [(0.0, "")]
    for name, state in expected.items():
        for key in {**state, **found[name]}:
            place = f"{name}: {key}"
            if key not in state or key not in found[name]:
                errors.append((float("inf"), place))
                continue
            error = float((found[name][key] - state[key]).norm() / state[key].norm())
            errors.append((error if error == error else float("inf"), place))
    return max(errors)
