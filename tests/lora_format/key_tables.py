"""Files as each tool names them, at the published sizes and of rank 1: names are what they test.

For what no library here can make. The tools' own spelling is given by literal keys that each file
must hold, taken from real files or from the tools' code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from lora_kiln.lora_format.architecture import Shape
from lora_kiln.lora_format.family import table_of
from lora_kiln.lora_format.ir import NETWORK
from lora_kiln.lora_format.table import flatten

Tensors = dict[str, torch.Tensor]
Factors = Callable[[Shape], Tensors]
"""Tensors by suffix, for a weight's shape."""
Named = Iterator[tuple[str, Shape]]


@dataclass(frozen=True)
class KeyTable:
    """A file.

    Attributes:
        name: which.
        family: the model it is for.
        formats: what it is to be recognised as.
        sample: keys that such files hold, literally.
        make: its tensors.
        config: PEFT's settings beside it.
    """

    name: str
    family: str
    formats: tuple[str, ...]
    sample: tuple[str, ...]
    make: Callable[[], Tensors]
    config: Mapping[str, Any] | None = None


def value(*shape: int) -> torch.Tensor:
    return torch.full(shape, 0.01, dtype=torch.bfloat16)


def own(family: str, component: str = NETWORK, *, small: bool = True) -> Named:
    """The model's own names of Linear and convolution, without embeddings."""
    for path, shape in table_of(family)[component].shapes.items():
        if len(shape) > 1 and not (small and "embeddings." in path):
            yield path, shape


def other(family: str, component: str = NETWORK) -> Named:
    """Diffusers' names of the same; of fused modules the parts."""
    network = table_of(family)[component]
    for path, shape in own(family, component):
        parts = network.parts(path)
        if parts:
            for name, target in parts:
                yield name, network.shape(target)
        else:
            yield names_first(family, component, path), shape


def names_first(family: str, component: str, path: str) -> str:
    target = table_of(family)[component].find(path)
    assert target is not None
    return table_of(family)[component].foreign(target) or path


def pair(down: str, up: str, *, alpha: bool = False) -> Factors:
    """Plain LoRA with these suffixes."""

    def make(shape: Shape) -> Tensors:
        ones = [1] * (len(shape) - 2)
        found = {down: value(1, *shape[1:]), up: value(shape[0], 1, *ones)}
        return found | ({".alpha": value()} if alpha else {})

    return make


KOHYA = pair(".lora_down.weight", ".lora_up.weight", alpha=True)
PEFT = pair(".lora_A.weight", ".lora_B.weight")


def host_trained(family: str) -> Tensors:
    """ComfyUI's trainer: convolutions' factors are flat, and biases and norms are trained too."""
    found: Tensors = {}
    for path, shape in table_of(family)[NETWORK].shapes.items():
        stem = f"diffusion_model.{path}"
        if len(shape) == 1:
            found |= {f"{stem}.diff": value(*shape)}
        else:
            found |= {f"{stem}.lora_up.weight": value(shape[0], 1), f"{stem}.alpha": value()}
            found |= {f"{stem}.lora_down.weight": value(1, math.prod(shape[1:]))}
        if not path.endswith((".to_q", ".to_k", ".to_v")):
            found |= {f"{stem}.diff_b": value(shape[0])}
    return found


def with_magnitudes(shape: Shape) -> Tensors:
    """DoRA over inputs, as OneTrainer has it."""
    return {**KOHYA(shape), ".dora_scale": value(1, shape[1], *[1] * (len(shape) - 2))}


def with_bias(shape: Shape) -> Tensors:
    return {**KOHYA(shape), ".diff_b": value(shape[0])}


def with_core(shape: Shape) -> Tensors:
    if len(shape) < 4 or shape[2] == 1:
        return KOHYA(shape)
    return {
        ".lora_down.weight": value(1, shape[1], 1, 1),
        ".lora_mid.weight": value(1, 1, *shape[2:]),
        ".lora_up.weight": value(shape[0], 1, 1, 1),
        ".alpha": value(),
    }


def loha(shape: Shape) -> Tensors:
    flat = math.prod(shape[1:])
    sides = {f".hada_w{n}_a": value(shape[0], 1) for n in (1, 2)}
    return sides | {f".hada_w{n}_b": value(1, flat) for n in (1, 2)} | {".alpha": value()}


def lokr(shape: Shape) -> Tensors:
    """The first side whole, the second in low rank."""
    flat = math.prod(shape[2:])
    return {
        ".lokr_w1": value(4, 1),
        ".lokr_w2_a": value(shape[0] // 4, 1),
        ".lokr_w2_b": value(1, shape[1] * flat),
        ".alpha": value(),
    }


def oft(shape: Shape) -> Tensors:
    return {".oft_blocks": value(shape[0] // 4, 4, 4), ".alpha": torch.tensor(1e-3)}


def boft(shape: Shape) -> Tensors:
    return {".oft_blocks": value(1, shape[0] // 4, 4, 4), ".alpha": torch.tensor(0.0)}


def named(prefix: str, names: Named, factors: Factors) -> Tensors:
    """Keys of a file; a prefix that ends in ``_`` wants underscores."""
    return {
        prefix + (flatten(name) if prefix.endswith("_") else name) + suffix: tensor
        for name, shape in names
        for suffix, tensor in factors(shape).items()
    }


def texts(family: str, prefixes: Mapping[str, str], factors: Factors) -> Tensors:
    """The attention and feed-forward layers of text encoders."""
    found: Tensors = {}
    for component, prefix in prefixes.items():
        layers = (item for item in own(family, component) if "projection" not in item[0])
        found |= named(prefix, layers, factors)
    return found


def flat_clip(tensors: Tensors) -> Tensors:
    """transformers from 5.6 on leaves ``text_model`` out, in CLIP-L only."""
    return {
        key.replace("text_encoder.text_model.", "text_encoder."): tensor
        for key, tensor in tensors.items()
    }


def attention(names: Named) -> Named:
    return (item for item in names if ".attn" in item[0] and "norm" not in item[0])


def processor_era(names: Named) -> Tensors:
    """diffusers in 2023: attention only, behind the name of its processor."""
    found: Tensors = {}
    for name, shape in attention(names):
        block, _, part = name.rpartition(".to_")
        stem = f"unet.{block}.processor.to_{part.removesuffix('.0')}_lora"
        found |= {f"{stem}.down.weight": value(1, *shape[1:])}
        found |= {f"{stem}.up.weight": value(shape[0], 1)}
    return found


def mixed_era(names: Named) -> Tensors:
    """diffusers since: one spelling for attention, another for all the rest."""
    found: Tensors = {}
    attend = pair(".lora.down.weight", ".lora.up.weight")
    for name, shape in names:
        factors = attend if ".attn" in name else PEFT
        found |= {f"unet.{name}{suffix}": tensor for suffix, tensor in factors(shape).items()}
    return found


TE = {"clip_l": "lora_te1_", "clip_g": "lora_te2_"}
DIFFUSERS_TE = {"clip_l": "text_encoder.", "clip_g": "text_encoder_2."}
OMI_TE = {"clip_l": "clip_l.", "clip_g": "clip_g."}
HOST_TE = {name: f"text_encoders.{name}.transformer." for name in ("clip_l", "clip_g")}
LINEAR_LAYER = pair(".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight")
CONFIG = {"r": 1, "lora_alpha": 2, "peft_type": "LORA"}
PROJECTION = {
    f"lora_te2_text_projection{suffix}": tensor for suffix, tensor in KOHYA((1280, 1280)).items()
}
WORDS = {
    "bundle_emb.my word.clip_l": value(2, 768), "bundle_emb.my word.clip_g": value(2, 1280),
}


def table(
    name: str, family: str, formats: str, sample: str, make: Callable[[], Tensors],
    config: Mapping[str, Any] | None = None,
) -> KeyTable:
    return KeyTable(name, family, tuple(formats.split()), tuple(sample.split()), make, config)


def sdxl() -> list[KeyTable]:
    """Files for SDXL."""
    return [
        table(
            "kohya", "sdxl", "kohya",
            "lora_unet_input_blocks_4_1_proj_in.lora_down.weight "
            "lora_unet_output_blocks_5_1_transformer_blocks_1_ff_net_2.alpha "
            "lora_te2_text_model_encoder_layers_31_mlp_fc2.lora_up.weight "
            "lora_te2_text_projection.lora_up.weight",
            lambda: named("lora_unet_", own("sdxl"), KOHYA) | texts("sdxl", TE, KOHYA)
            | PROJECTION,
        ),
        table(
            "kohya with words", "sdxl", "bundle_emb kohya",
            "lora_unet_middle_block_1_proj_in.lora_down.weight",
            lambda: named("lora_unet_", attention(own("sdxl")), KOHYA)
            | named("lora_unet_", iter([("middle_block.1.proj_in", (1280, 1280))]), KOHYA) | WORDS,
        ),
        table(
            "kohya with diffusers' blocks", "sdxl", "kohya_diffusers",
            "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight",
            lambda: named("lora_unet_", other("sdxl"), KOHYA) | texts("sdxl", TE, KOHYA),
        ),
        table(
            "locon with cores", "sdxl", "lycoris",
            "lora_unet_input_blocks_1_0_out_layers_3.lora_mid.weight",
            lambda: named("lora_unet_", own("sdxl"), with_core),
        ),
        table(
            "loha", "sdxl", "lycoris", "lora_unet_input_blocks_1_0_out_layers_3.hada_w1_a",
            lambda: named("lora_unet_", own("sdxl"), loha) | texts("sdxl", TE, loha),
        ),
        table(
            "lokr by SimpleTuner", "sdxl", "lycoris",
            "lycoris_down_blocks_1_attentions_0_proj_in.lokr_w1",
            lambda: named("lycoris_", attention(other("sdxl")), lokr)
            | named("lycoris_", iter([("down_blocks.1.attentions.0.proj_in", (640, 640))]), lokr),
        ),
        table(
            "oft", "sdxl", "lycoris", "lora_unet_input_blocks_4_1_proj_in.oft_blocks",
            lambda: named("lora_unet_", own("sdxl"), oft),
        ),
        table(
            "boft", "sdxl", "lycoris", "lora_unet_input_blocks_4_1_proj_in.oft_blocks",
            lambda: named("lora_unet_", own("sdxl"), boft),
        ),
        table(
            "oft by sd-scripts", "sdxl", "kohya_oft",
            "oft_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.oft_blocks",
            lambda: named("oft_unet_", attention(own("sdxl")), oft),
        ),
        table(
            "diffusers of 2023", "sdxl", "diffusers",
            "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.processor"
            ".to_q_lora.up.weight unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor"
            ".to_out_lora.down.weight",
            lambda: processor_era(other("sdxl")),
        ),
        table(
            "diffusers since", "sdxl", "diffusers",
            "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.lora.down.weight "
            "unet.down_blocks.1.attentions.0.proj_in.lora_A.weight "
            "text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj"
            ".lora_linear_layer.down.weight",
            lambda: mixed_era(other("sdxl")) | texts("sdxl", DIFFUSERS_TE, LINEAR_LAYER),
        ),
        table(
            "diffusers with a flat CLIP", "sdxl", "diffusers",
            "text_encoder.encoder.layers.0.self_attn.q_proj.lora_A.weight "
            "text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight",
            lambda: named("unet.", other("sdxl"), PEFT)
            | flat_clip(texts("sdxl", DIFFUSERS_TE, PEFT)),
        ),
        table(
            "raw PEFT", "sdxl", "peft",
            "base_model.model.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
            ".lora_A.weight",
            lambda: named("base_model.model.", other("sdxl"), PEFT), CONFIG,
        ),
        table(
            "nested PEFT", "sdxl", "peft",
            "unet.base_model.model.down_blocks.1.attentions.0.proj_in.lora_A.weight",
            lambda: named("unet.base_model.model.", other("sdxl"), PEFT),
        ),
        table(
            "OMI", "sdxl", "omi",
            "unet.output_blocks.5.1.transformer_blocks.1.ff.net.2.lora_down.weight "
            "unet.output_blocks.5.1.transformer_blocks.1.ff.net.2.dora_scale",
            lambda: named("unet.", own("sdxl"), with_magnitudes) | texts("sdxl", OMI_TE, KOHYA),
        ),
        table(
            "SimpleTuner's early output for ComfyUI", "sdxl", "simpletuner",
            "diffusion_model.down_blocks.1.attentions.0.proj_in.lora_A.weight",
            lambda: named("diffusion_model.", other("sdxl"), PEFT),
        ),
        table(
            "ComfyUI's trainer", "sdxl", "comfyui",
            "diffusion_model.input_blocks.4.1.proj_in.lora_up.weight "
            "diffusion_model.input_blocks.4.1.proj_in.diff_b diffusion_model.out.0.diff",
            lambda: host_trained("sdxl"),
        ),
        table(
            "ComfyUI's LoraSave", "sdxl", "comfyui",
            "diffusion_model.input_blocks.4.1.proj_in.lora_down.weight "
            "text_encoders.clip_l.transformer.text_model.encoder.layers.0.mlp.fc1.lora_up.weight "
            "text_encoders.clip_g.transformer.text_model.final_layer_norm.diff",
            lambda: named(
                "diffusion_model.", own("sdxl"), pair(".lora_down.weight", ".lora_up.weight")
            ) | texts("sdxl", HOST_TE, pair(".lora_down.weight", ".lora_up.weight")) | {
                "text_encoders.clip_g.transformer.text_model.final_layer_norm.diff": value(1280)
            },
        ),
    ]


def transformers() -> list[KeyTable]:
    """Files for Z-Image, Lumina 2 and Flux.1, and SD 1.5."""
    bare = pair(".lora_A.default.weight", ".lora_B.default.weight")
    t5 = {"clip_l": "lora_te1_", "t5xxl": "lora_te2_"}
    return [
        table(
            "kohya", "sd15", "kohya",
            "lora_unet_input_blocks_4_1_proj_in.lora_down.weight "
            "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight",
            lambda: named("lora_unet_", own("sd15"), KOHYA)
            | texts("sd15", {"clip_l": "lora_te_"}, KOHYA),
        ),
        table(
            "sd-scripts as it is", "sd15", "kohya_diffusers",
            "lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight",
            lambda: named("lora_unet_", other("sd15"), KOHYA)
            | texts("sd15", {"clip_l": "lora_te_"}, KOHYA),
        ),
        table(
            "kohya with fused attention", "z_image", "kohya",
            "lora_unet_layers_0_attention_qkv.lora_up.weight "
            "lora_unet_layers_0_attention_out.lora_down.weight",
            lambda: named("lora_unet_", own("z_image"), KOHYA),
        ),
        table(
            "musubi-tuner", "z_image", "musubi",
            "lora_unet_layers_0_attention_to_q.lora_down.weight "
            "lora_unet_layers_0_feed_forward_w1.alpha",
            lambda: named("lora_unet_", other("z_image"), KOHYA),
        ),
        table(
            "ai-toolkit", "z_image", "ai_toolkit",
            "diffusion_model.layers.0.attention.to_q.lora_A.weight "
            "diffusion_model.layers.0.adaLN_modulation.0.lora_B.weight",
            lambda: named("diffusion_model.", other("z_image"), PEFT),
        ),
        table(
            "ai-toolkit's LoKr", "z_image", "lycoris",
            "diffusion_model.layers.0.attention.to_q.lokr_w1",
            lambda: named("diffusion_model.", other("z_image"), lokr),
        ),
        table(
            "lokr by SimpleTuner", "z_image", "lycoris", "lycoris_layers_0_attention_to_k.lokr_w1",
            lambda: named("lycoris_", other("z_image"), lokr),
        ),
        table(
            "diffusers", "z_image", "diffusers",
            "transformer.noise_refiner.0.attention.to_q.lora_A.weight",
            lambda: named("transformer.", other("z_image"), PEFT),
        ),
        table(
            "raw PEFT", "z_image", "peft",
            "base_model.model.layers.0.attention.to_q.lora_A.weight",
            lambda: named("base_model.model.", other("z_image"), PEFT), CONFIG,
        ),
        table(
            "OneTrainer", "z_image", "onetrainer",
            "transformer.layers.0.attention.to_q.lora_down.weight",
            lambda: named("transformer.", other("z_image"), KOHYA),
        ),
        table(
            "VideoX-Fun", "z_image", "double_underscore",
            "lora_unet__layers_0_attention_to_k.lora_down.weight",
            lambda: named("lora_unet__", other("z_image"), KOHYA),
        ),
        table(
            "DiffSynth", "z_image", "diffsynth", "layers.0.attention.to_q.lora_A.default.weight",
            lambda: named("", other("z_image"), bare),
        ),
        table(
            "ComfyUI's trainer", "z_image", "comfyui",
            "diffusion_model.layers.0.attention.qkv.lora_up.weight "
            "text_encoders.qwen3_4b.transformer.model.layers.0.mlp.up_proj.lora_up.weight",
            lambda: named("diffusion_model.", own("z_image"), KOHYA)
            | texts("z_image", {"qwen3_4b": "text_encoders.qwen3_4b.transformer."}, KOHYA),
        ),
        table(
            "kohya", "lumina2", "kohya", "lora_unet_layers_0_attention_qkv.lora_up.weight",
            lambda: named("lora_unet_", own("lumina2"), KOHYA),
        ),
        table(
            "diffusers", "lumina2", "diffusers",
            "transformer.layers.0.attn.to_q.lora_A.weight "
            "transformer.layers.0.feed_forward.linear_1.lora_A.weight",
            lambda: named("transformer.", other("lumina2"), PEFT),
        ),
        table(
            "kohya", "flux1", "kohya",
            "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight "
            "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight",
            lambda: named("lora_unet_", own("flux1"), KOHYA) | texts("flux1", t5, KOHYA),
        ),
        table(
            "diffusers", "flux1", "diffusers",
            "transformer.transformer_blocks.0.attn.add_q_proj.lora_A.weight "
            "transformer.single_transformer_blocks.0.proj_mlp.lora_B.weight",
            lambda: named("transformer.", other("flux1"), PEFT),
        ),
        table(
            "OneTrainer", "flux1", "onetrainer",
            "lora_transformer_transformer_blocks_0_attn_to_q.lora_down.weight "
            "lora_te2_encoder_block_0_layer_0_SelfAttention_q.lora_down.weight",
            lambda: named("lora_transformer_", other("flux1"), KOHYA) | texts("flux1", t5, KOHYA),
        ),
        table(
            "raw PEFT", "flux1", "peft",
            "base_model.model.transformer_blocks.0.attn.to_q.lora_A.weight",
            lambda: named("base_model.model.", other("flux1"), PEFT),
        ),
        table(
            "LyCORIS with biases", "flux1", "lycoris",
            "lycoris_transformer_blocks_0_attn_to_q.diff_b",
            lambda: named("lycoris_", other("flux1"), with_bias),
        ),
    ]


KEY_TABLES = {f"{item.family}: {item.name}": item for item in (*sdxl(), *transformers())}


def refused() -> dict[str, tuple[Tensors, str]]:
    """Files that cannot be converted, and what is said of each."""
    deep = "input_blocks.4.1.transformer_blocks.1.attn2.to_k"
    plain = named("lora_unet_", iter([(deep, (640, 2048))]), KOHYA)
    proj = "lora_unet_input_blocks_4_1_proj_in"
    return {
        "IA3": ({f"{proj}.weight": value(640), f"{proj}.on_input": value()}, "an IA³ file"),
        "PEFT's OFT": (
            {f"base_model.model.{deep}.oft_R.weight": value(160, 6)}, "It is PEFT's OFT",
        ),
        "old OFT": (plain | {f"{proj}.oft_diag": value(160, 4, 4)}, "old diagonal OFT"),
        "Kohya's OFT for Flux": (
            {"oft_unet_single_blocks_7_linear1.oft_blocks.0": value(4, 4, 4)}, "OFT for Flux",
        ),
        "XLabs": (
            {
                "double_blocks.0.processor.qkv_lora1.down.weight": value(1, 3072),
                "double_blocks.0.processor.qkv_lora1.up.weight": value(9216, 1),
            },
            "an XLabs LoRA",
        ),
        "BFL's control": (
            {
                "double_blocks.0.img_attn.qkv.lora_A.weight": value(1, 3072),
                "double_blocks.0.img_attn.qkv.lora_B.weight": value(9216, 1),
                "double_blocks.0.img_attn.qkv.lora_B.bias": value(9216),
                "img_in.lora_A.weight": value(1, 128),
                "img_in.lora_B.weight": value(3072, 1),
            },
            "img_in",
        ),
        "Control-LoRA": (
            {"lora_controlnet": value(1), "input_blocks.1.0.in_layers.2.down": value(1, 320)},
            "a Control-LoRA",
        ),
        "up without down": (plain | {f"{proj}.lora_up.weight": value(640, 1)}, f"{proj}.lora_up"),
        "diffusers' Flux with its last modulation": (
            named("transformer.", other("flux1"), PEFT)
            | named("transformer.", iter([("norm_out.linear", (6144, 3072))]), PEFT),
            "norm_out",
        ),
        "SDXL's names with SD 1.5's widths": (
            named("lora_unet_", iter([(deep, (640, 768))]), KOHYA), "nearest to SDXL",
        ),
    }
