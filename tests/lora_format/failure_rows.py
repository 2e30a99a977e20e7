"""Real cases of "my LoRA does nothing", one row each, with the verdict that they must get.

The catalogue with its sources is ``lora_failures.md`` among the project's references. Not in here,
because no file shows them: a base model whose weights are packed (ComfyUI 4555), and DoRA whose
implementations differed (LyCORIS 196).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lora_kiln.lora_format.family import table_of
from lora_kiln.lora_format.read import Base
from lora_kiln.tests.lora_format.small_files import (
    Tensors,
    dotted,
    kohya,
    kronecker,
    pairs,
    write,
)

BLOCK = "down_blocks.1.attentions.0.transformer_blocks.0."
SDXL = {f"{BLOCK}attn1.to_q": (640, 640), f"{BLOCK}attn2.to_k": (640, 2048)}
SDXL_FF = {f"{BLOCK}ff.net.2": (640, 2560)}
OWN = {
    "input_blocks.4.1.proj_in": (640, 640),
    "input_blocks.4.1.transformer_blocks.0.attn2.to_k": (640, 2048),
}
OMI = "unet.output_blocks.5.1.transformer_blocks.1"
SD15 = {f"{BLOCK}attn1.to_q": (640, 640), f"{BLOCK}attn2.to_k": (640, 768)}
SPLIT = {
    "layers.0.attention.to_q": (3840, 3840),
    "layers.0.attention.to_k": (3840, 3840),
    "layers.0.attention.to_v": (3840, 3840),
    "layers.0.attention.to_out.0": (3840, 3840),
}
Z_IMAGE = {**SPLIT, "layers.0.feed_forward.w1": (10240, 3840)}
FUSED = {"layers.0.attention.qkv": (11520, 3840), "layers.0.attention.out": (3840, 3840)}
FLUX = {
    "transformer_blocks.0.attn.to_q": (3072, 3072),
    "single_transformer_blocks.0.proj_out": (3072, 15360),
}
CLIP = "text_model.encoder.layers.0."
TO_K = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
PROJ = "lora_unet_input_blocks_4_1_proj_in"
SETTINGS = "lora_adapter_metadata"
IN_ORDER = "is in order"
CONVERT = "Convert it: the Convert LoRA node"
WITH_BASE = "Convert it with the base model at hand"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A case.

    Attributes:
        threads: where people told of it; the test's name.
        tensors: makes the file.
        rule: the finding that decides the verdict.
        says: parts of the verdict.
        do: a part of the remedy.
        works: whether the stock loader applies all of it as it was trained.
        converts: whether it can be converted; a text is the error's.
        base: family of the model that it is held against.
        version: of ComfyUI.
        metadata: of the header.
        beside: ``adapter_config.json``.
        name: of the file.
    """

    threads: str
    tensors: Callable[[], Tensors]
    rule: str
    says: tuple[str, ...]
    do: str = ""
    works: bool = False
    converts: bool | str = True
    base: str = ""
    version: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    beside: Mapping[str, Any] | None = None
    name: str = "lora.safetensors"

    def __str__(self) -> str:
        return self.threads

    def write(self, folder: Path) -> Path:
        """Make the file."""
        path = folder / self.name
        if path.suffix != ".safetensors":
            path.write_bytes(b"\x80\x02}q\x00.")
            return path
        return write(path, self.tensors(), self.metadata, self.beside)

    @property
    def model(self) -> Base | None:
        """The model that it is held against."""
        return Base(family=self.base, table=table_of(self.base)) if self.base else None


def fine(threads: str, tensors: Callable[[], Tensors], **more: Any) -> Row:
    """A case that today's ComfyUI reads whole."""
    return Row(threads=threads, tensors=tensors, rule="in-order", says=(IN_ORDER,), works=True,
               do="raise the strength", **more)


def unread(threads: str, tensors: Callable[[], Tensors], says: str, **more: Any) -> Row:
    """A case of naming only: converting is all that it takes."""
    return Row(threads=threads, tensors=tensors, rule="unread-names", do=CONVERT,
               says=(says, "does not know"), **more)


def other(threads: str, tensors: Callable[[], Tensors], says: str, do: str, **more: Any) -> Row:
    """A file that is something else."""
    return Row(threads=threads, tensors=tensors, rule="another-kind", says=(says,), do=do,
               **{"converts": says, **more})


NAMES = (
    unread(
        "ComfyUI-1144-2689-3163_diffusers-6399_efficiency-nodes-104",
        lambda: pairs(SDXL, ".lora.down.weight", ".lora.up.weight", prefix="unet.")
        | pairs(SDXL_FF, prefix="unet.")
        | pairs({f"text_encoder_2.{CLIP}mlp.fc1": (5120, 1280)}, ".lora_linear_layer.down.weight",
                ".lora_linear_layer.up.weight"),
        "Only a part of the LoRA works: ComfyUI's LoRA loader passes over 4 of its 8 keys",
    ),
    fine(
        "ComfyUI-1144_as_of_2023",
        lambda: pairs(
            {name.replace(".to_", ".processor.to_"): shape for name, shape in SDXL.items()},
            "_lora.down.weight", "_lora.up.weight", prefix="unet.",
        ),
    ),
    unread("ComfyUI-12452_SimpleTuner-2704", lambda: pairs({**SDXL, **SDXL_FF}, prefix="unet."),
           "passes over 4 of its 6 keys"),
    unread("SimpleTuner-2704_early",
           lambda: pairs({**SDXL, **SDXL_FF}, prefix="diffusion_model."),
           "The LoRA does nothing: ComfyUI's LoRA loader reads none of its 6 keys"),
    unread(
        "OneTrainer-885",
        lambda: dotted({f"{OMI}.ff.net.2": (640, 2560), f"{OMI}.attn2.to_k": (640, 2048)})
        | {f"{OMI}.ff.net.2.dora_scale": torch.ones(1, 2560)},
        "names that OMI (OneTrainer) writes",
    ),
    unread("OneTrainer-1563", lambda: pairs(SD15, prefix="unet."), "names that diffusers writes"),
    unread("ComfyUI-11487_musubi-807-847_forge-classic-718", lambda: kohya(Z_IMAGE, "lora_unet_"),
           "passes over 12 of its 15 keys"),
    unread("diffusers-13126", lambda: kohya(Z_IMAGE, "lora_unet__"), "reads none of its 15 keys"),
    fine("ComfyUI-11805", lambda: pairs(Z_IMAGE, ".lora_A.default.weight",
                                        ".lora_B.default.weight")),
    fine("ComfyUI-11158-10973_ai-toolkit-538_Lora-Manager-717_diffusion-pipe-470",
         lambda: pairs(Z_IMAGE, prefix="diffusion_model.")),
    fine("Realtime-Lora-16_diffusers-13221", lambda: kronecker(Z_IMAGE, "diffusion_model.")),
    fine("SimpleTuner-2629",
         lambda: pairs({name.replace("layers", "noise_refiner"): shape
                        for name, shape in Z_IMAGE.items()}, prefix="transformer.")),
    unread(
        "ComfyUI-9753",
        lambda: kronecker(SD15, "base_model.model.", alpha=None),
        "reads none of its 4 keys", beside={"peft_type": "LOKR", "r": 8, "alpha": 8},
    ),
    unread("SimpleTuner-779", lambda: pairs(FLUX, prefix="transformer.base_model.model."),
           "names that PEFT writes"),
    unread(
        "ComfyUI-4347_sd-scripts-1463",
        lambda: kohya({f"{name}_": shape for name, shape in FLUX.items()}
                      | {"context_embedder_": (3072, 4096)}, "lora_unet_"),
        "reads none of its 9 keys",
    ),
    unread("ComfyUI-4439",
           lambda: pairs({f"lora_te1.{CLIP}mlp.fc1": (3072, 768)})
           | pairs(FLUX, prefix="transformer."), "passes over 2 of its 6 keys"),
    fine("ComfyUI-4476-7792-8285-16234_SDXL", lambda: kohya(SDXL, "lycoris_")),
    fine("ComfyUI-4476-7792-8285-16234_Flux", lambda: kohya(FLUX, "lycoris_")),
    fine("ComfyUI-4476-7792-8285-16234_Z-Image", lambda: kohya(Z_IMAGE, "lycoris_")),
    Row(threads="SimpleTuner-3222_Krea2", rule="unknown-model", do="use it with the model it was",
        tensors=lambda: kohya({"blocks.0.attn.to_qkv": (9216, 3072)}, "lycoris_"),
        says=("does not know", "lycoris_blocks_0_attn_to_qkv"), converts="does not know"),
    fine("ComfyUI-4837_Forge-1615-1727",
         lambda: kohya({"encoder.block.0.layer.0.SelfAttention.q": (4096, 4096)}, "lora_te2_")
         | kohya(FLUX, "lora_transformer_")),
    unread(
        "diffusers-13984-14014_OneTrainer-1506",
        lambda: pairs({"text_encoder.encoder.layers.0.mlp.fc1": (3072, 768),
                       f"text_encoder_2.{CLIP}mlp.fc1": (5120, 1280)})
        | kohya(OWN, "lora_unet_"),
        "passes over 2 of its 10 keys",
    ),
)
COMPONENTS = (
    Row(threads="OneTrainer-485_ComfyUI-3659_StableSwarmUI-371", rule="embeddings-inside",
        tensors=lambda: kohya(OWN, "lora_unet_") | {
            "bundle_emb.my trigger.clip_l": torch.ones(2, 768),
            "bundle_emb.my trigger.clip_g": torch.ones(2, 1280)},
        says=("trained words ('my trigger')", "do nothing"), do="embedding:name", works=True),
    Row(threads="ComfyUI-9454-2961-887-6584_sd-scripts-1806", rule="text-encoder-only",
        tensors=lambda: kohya({f"{CLIP}mlp.fc1": (3072, 768)}, "lora_te1_")
        | kohya({f"{CLIP}mlp.fc1": (5120, 1280)}, "lora_te2_"),
        says=("only text encoders", "does nothing where no CLIP is connected"),
        do="with CLIP connected", works=True),
    fine("ComfyUI-9454_with_a_model_part",
         lambda: kohya({f"{CLIP}mlp.fc1": (3072, 768)}, "lora_te1_") | kohya(OWN, "lora_unet_")),
    Row(threads="sd-scripts-1806_CLIP-L_alone", rule="several-models",
        tensors=lambda: kohya({f"{CLIP}mlp.fc1": (3072, 768)}, "lora_te_"),
        says=("Flux.1, SD 1.5 or SDXL", "only a text encoder"), do="Connect the model",
        converts="cannot be told"),
)
BASES = (
    Row(threads="ComfyUI-3518-2364_rgthree-690", base="sdxl", rule="wrong-base",
        tensors=lambda: kohya(
            {"up_blocks.3.attentions.0.transformer_blocks.0.attn2.to_k": (320, 768), **SD15},
            "lora_unet_"),
        says=("a LoRA for SD 1.5 and cannot work with SDXL",), do="model of the kind SD 1.5",
        converts="cannot work with SDXL"),
    Row(threads="ComfyUI-6920-1461_Fooocus-336", base="sdxl", rule="wrong-base",
        tensors=lambda: kohya(SD15, "lora_unet_"), converts="cannot work with SDXL",
        says=("a LoRA for SD 1.5", "2 of its 2 layers, SDXL for 1"), do="SD 1.5"),
    Row(threads="ComfyUI-5655", base="z_image", rule="wrong-base", converts="cannot work with",
        tensors=lambda: kohya(OWN, "lora_unet_"),
        says=("a LoRA for SDXL and cannot work with Z-Image", "for none"), do="kind SDXL"),
    Row(threads="ChronoEdit-22", rule="unknown-model", converts="does not know",
        tensors=lambda: pairs({"blocks.0.self_attn.q": (5120, 5120)}, ".lora_A.default.weight",
                              ".lora_B.default.weight"),
        says=("does not know", "blocks.0.self_attn.q"), do="use it with the model"),
    Row(threads="ChronoEdit-22_on_SDXL", base="sdxl", rule="wrong-base",
        tensors=lambda: pairs({"blocks.0.self_attn.q": (5120, 5120)}),
        says=("no LoRA for SDXL, so it does nothing there",), do="the kind of model",
        converts="no LoRA for SDXL"),
)


def _tripled() -> Tensors:
    fused = "lora_unet_double_blocks_0_img_attn_qkv"
    parts = [torch.full((3072, 2), 0.1 + index) for index in range(3)]
    return kohya({"double_blocks.0.img_attn.proj": (3072, 3072),
                  "double_blocks.0.img_mlp.0": (12288, 3072)}, "lora_unet_") | {
        f"{fused}.lora_down.weight": torch.ones(6, 3072),
        f"{fused}.lora_up.weight": torch.block_diag(*parts),
        f"{fused}.alpha": torch.tensor(2.0)}


STRENGTH = (
    Row(threads="ComfyUI-12191-15830_diffusers-6087", rule="hidden-alpha",
        tensors=lambda: pairs(Z_IMAGE, prefix="transformer.", rank=4),
        metadata={SETTINGS: {"transformer.r": 4, "transformer.lora_alpha": 16}},
        says=("all 5 layers at 0.25 times the strength",), do="use it as it is at strength 4"),
    unread("ComfyUI-12191_and_names", lambda: pairs(SDXL, prefix="unet.", rank=4),
           "does nothing", metadata={SETTINGS: {"unet.r": 4, "unet.lora_alpha": 16}}),
    Row(threads="ACE-Step_PR-8094", rule="hidden-alpha",
        tensors=lambda: pairs(Z_IMAGE, prefix="transformer.", rank=4),
        metadata={SETTINGS: {"transformer.r": 4, "transformer.lora_alpha": 4,
                             "transformer.use_rslora": True}},
        says=("at 0.5 times the strength",), do="Convert it"),
    Row(threads="ComfyUI-12191_one_layer", rule="hidden-alpha",
        tensors=lambda: pairs(Z_IMAGE, prefix="transformer.", rank=4),
        metadata={SETTINGS: {"transformer.r": 4, "transformer.lora_alpha": 4,
                             "transformer.alpha_pattern": {"layers.0.attention.to_q": 8}}},
        says=("1 of 5 layers at 0.5 times",), do="Convert it"),
    Row(threads="LoRA-Merger-17", rule="alpha-one", works=True,
        tensors=lambda: kohya(OWN, "lora_unet_", alpha=1, rank=4),
        says=("Alpha is 1 in all layers", "1/4"), do="raise the strength, up to 4"),
    Row(threads="ComfyUI-15848", rule="alpha-one", works=True,
        tensors=lambda: dotted(OWN, "diffusion_model.", alpha=1, rank=4),
        says=("Alpha is 1", "ComfyUI trained it so"), do="raise the strength"),
    Row(threads="sd-scripts-2204", rule="tripled-rank", works=True, tensors=_tripled,
        says=("1 fused layer at 1/3 of the strength",), do="from before that merge"),
    Row(threads="diffusers-13203", rule="duplicate-target", works=True,
        tensors=lambda: kohya({**FUSED, **SPLIT}, "lora_unet_"),
        says=("holds 4 layers twice",), do="each layer once"),
    Row(threads="diffusers-13203_both_read", rule="double-strength",
        tensors=lambda: pairs({**FUSED, **SPLIT}, prefix="diffusion_model."),
        says=("1 layer with double strength",), do="Convert it"),
    fine("nunchaku-94",
         lambda: {key: tensor for key, tensor in kohya(OWN, "lora_unet_").items()
                  if key != f"{PROJ}.alpha"}),
)


def _dora(*shape: int) -> Tensors:
    return kohya(OWN, "lora_unet_") | {f"{TO_K}.dora_scale": torch.ones(shape)}


DECOMPOSED = (
    Row(threads="ComfyUI-12938-13011", rule="vector-magnitudes", tensors=lambda: _dora(640),
        says=("skips 1 layer with an error", "DoRA"), do=WITH_BASE, converts="--base FILE"),
    Row(threads="ComfyUI-15458_LyCORIS-216", rule="dora-over-outputs",
        tensors=lambda: _dora(640, 1), says=("applies 1 layer wrongly", "DoRA"), do=WITH_BASE,
        converts="--base FILE"),
    Row(threads="ComfyUI-15458_as_PEFT_writes_it", rule="unread-names",
        tensors=lambda: pairs(SDXL, prefix="unet.")
        | {f"unet.{BLOCK}attn1.to_q.lora_magnitude_vector": torch.ones(640)},
        says=("does nothing",), do=WITH_BASE, converts="--base FILE"),
    fine("ComfyUI-3060", lambda: _dora(1, 2048)),
)
ALGORITHMS = (
    other("ComfyUI-6397-6381-1071",
          lambda: {f"{TO_K}.weight": torch.ones(640), f"{TO_K}.on_input": torch.tensor(False)},
          "IA³", "extract a LoRA"),
    unread(
        "ComfyUI-5230_SDXL",
        lambda: {f"oft_unet_{TO_K[10:]}.oft_blocks": torch.full((64, 10, 10), 0.01).triu(),
                 f"oft_unet_{TO_K[10:]}.alpha": torch.tensor(1e-3),
                 "oft_unet_input_blocks_7_1_transformer_blocks_9_attn2_to_k.oft_blocks":
                 torch.zeros(64, 20, 20)},
        "names that Kohya's OFT writes",
    ),
    other("ComfyUI-5230_Flux",
          lambda: {"oft_unet_single_blocks_7_linear1.oft_blocks.0": torch.ones(4, 4, 4),
                   "oft_unet_single_blocks_7_linear1.alpha": torch.tensor(1e-3)},
          "Kohya's OFT for Flux", "extract a LoRA"),
    fine("ComfyUI-3319",
         lambda: {"lora_te1_text_model_encoder_layers_0_mlp_fc1.oft_blocks":
                  torch.zeros(64, 48, 48) + torch.eye(48, 48).roll(1, 0) * 0.01,
                  **kohya(OWN, "lora_unet_")}),
    other("ComfyUI-3021",
          lambda: {"weights.0.lora_down": torch.ones(2, 8), "weights.0.lora_up": torch.ones(8, 2)},
          "Stable Cascade", "with module names"),
    other("XLabs",
          lambda: {"double_blocks.0.processor.qkv_lora1.down.weight": torch.ones(2, 3072),
                   "double_blocks.0.processor.qkv_lora1.up.weight": torch.ones(9216, 2)},
          "XLabs", "XLabs' nodes"),
    other("ComfyUI-5868",
          lambda: pairs({"img_in": (3072, 128), "double_blocks.0.img_attn.qkv": (9216, 3072)})
          | {"single_blocks.0.norm.key_norm.scale": torch.ones(128),
             "double_blocks.0.img_attn.qkv.lora_B.bias": torch.ones(9216)},
          "reads as it is", "There is nothing to convert", works=True),
    other("USO",
          lambda: {f"{name}.{end}.weight": torch.ones(shape) for name in (
              "single_blocks.37.processor.qkv_lora", "double_blocks.18.processor.qkv_lora2")
              for end, shape in (("up", (9216, 2)), ("down", (2, 3072)))},
          "reads as it is", "0.3.57", works=True),
)


def _changed(**tensors: torch.Tensor | None) -> Tensors:
    """A sound file with some of one module's tensors changed, or left out."""
    deep = {"input_blocks.7.1.transformer_blocks.9.attn2.to_k": (1280, 2048)}
    found = kohya({**OWN, **deep}, "lora_unet_")
    for name, tensor in tensors.items():
        key = f"{TO_K}.{name}" + ("" if name == "alpha" else ".weight")
        found.pop(key)
        if tensor is not None:
            found[key] = tensor
    return found


VALUES = (
    Row(threads="nunchaku-94_without_down", rule="orphan-factor", converts="stands alone",
        tensors=lambda: _changed(lora_down=None),
        says=(f"{TO_K}.lora_up.weight stands alone", "applies nothing"), do="download it again"),
    Row(threads="without_up", rule="orphan-factor", converts="stands alone",
        tensors=lambda: _changed(lora_up=None),
        says=("lora_down.weight stands alone", "that layer does nothing"), do="whole file"),
    Row(threads="alpha_of_two_values", rule="alpha-no-number", converts="2 values",
        tensors=lambda: _changed(alpha=torch.ones(2)),
        says=("alpha holds 2 values", "applies nothing"), do="whole file"),
    Row(threads="transposed", rule="transposed", converts="transposed",
        tensors=lambda: _changed(lora_down=torch.ones(2, 640), lora_up=torch.ones(2048, 2)),
        says=("are transposed",), do="whole file"),
    Row(threads="other_rank", rule="factors-do-not-fit", converts="do not fit each other",
        tensors=lambda: _changed(lora_up=torch.ones(640, 3)), says=("do not fit each other",)),
    Row(threads="untrained", rule="zero-layers", converts=False,
        tensors=lambda: {key: tensor * ("up" not in key)
                         for key, tensor in kohya(OWN, "lora_unet_").items()},
        says=("The LoRA does nothing", "nothing was learned"), do="Train it again"),
    Row(threads="untrained_in_part", rule="zero-layers", works=True,
        tensors=lambda: _changed(lora_up=torch.zeros(640, 2)),
        says=("1 of 3 layers are zero",), do="Train it again"),
    Row(threads="not_a_number", rule="not-a-number", converts=False,
        tensors=lambda: _changed(lora_up=torch.full((640, 2), float("nan"))),
        says=("Pictures turn black", "1 layer"), do="earlier checkpoint"),
    Row(threads="alpha_zero", rule="alpha-zero", works=True,
        tensors=lambda: _changed(alpha=torch.zeros(())), says=("does nothing",)),
)
NOT_LORAS = (
    other("Stability_Control-LoRA",
          lambda: {"lora_controlnet": torch.ones(1), "input_blocks.1.0.in_layers.2.up":
                   torch.ones(4, 2), "input_blocks.1.0.in_layers.2.down": torch.ones(2, 4)},
          "ControlNet", "models/controlnet"),
    other("checkpoint",
          lambda: {"model.diffusion_model.input_blocks.4.1.proj_in.weight": torch.ones(4, 4),
                   "first_stage_model.encoder.conv_in.weight": torch.ones(4, 3, 3, 3)},
          "checkpoint", "Load Checkpoint"),
    other("VAE", lambda: {"encoder.conv_in.weight": torch.ones(4, 3, 3, 3),
                          "decoder.conv_out.weight": torch.ones(3, 4, 3, 3)}, "VAE", "models/vae"),
    other("diffusion_model", lambda: {"layers.0.attention.qkv.weight": torch.ones(4, 4)},
          "diffusion model", "Load Diffusion Model"),
    other("text_encoder",
          lambda: {f"{CLIP}mlp.fc1.weight": torch.ones(4, 4)}, "text encoder", "Load CLIP"),
    other("ControlNet", lambda: {"zero_convs.0.0.weight": torch.ones(4, 4)}, "ControlNet",
          "models/controlnet"),
    other("embedding_of_SD_1.5", lambda: {"emb_params": torch.ones(2, 768)}, "trained words",
          "models/embeddings"),
    Row(threads="embedding_of_SDXL", rule="embeddings-only",
        tensors=lambda: {"clip_l": torch.ones(2, 768), "clip_g": torch.ones(2, 1280)},
        says=("no LoRA but trained words",), do="models/embeddings", converts=False),
    Row(threads="nothing_known", rule="no-lora", tensors=lambda: {"anything": torch.ones(2)},
        says=("lora.safetensors holds no LoRA",), do="loader for its kind",
        converts="holds no LoRA"),
    Row(threads="pickle", rule="not-a-file", tensors=dict, name="lora.pt",
        says=("lora.pt is a pickle file",), do="safetensors", converts="pickle"),
)
SPLIT_NAMES = "diffusers' names of Z-Image's layers only since version 0.3.76"
VERSIONS = (
    *(
        Row(threads=threads, tensors=tensors, version=version, rule="old-comfyui",
            says=(f"ComfyUI {version} is too old", what), do=do)
        for threads, tensors, version, what, do in (
            ("ComfyUI-11158_in_0.3.75", lambda: pairs(Z_IMAGE, prefix="diffusion_model."),
             "0.3.75", SPLIT_NAMES, "Update ComfyUI to 0.3.76 or later"),
            ("SimpleTuner-2629_in_v0.3.75-12", lambda: pairs(Z_IMAGE, prefix="transformer."),
             "v0.3.75-12-gabc", SPLIT_NAMES, "Update ComfyUI"),
            ("ComfyUI-16234_in_0.3.75", lambda: kohya(Z_IMAGE, "lycoris_"), "0.3.75", SPLIT_NAMES,
             "Update ComfyUI"),
            ("ComfyUI-11805_in_0.8.0",
             lambda: pairs(Z_IMAGE, ".lora_A.default.weight", ".lora_B.default.weight"), "0.8.0",
             "without a prefix for Z-Image only since version 0.9.0", "or convert the file"),
            ("ComfyUI-3319_in_0.3.30",
             lambda: {"lora_te1_text_model_encoder_layers_0_mlp_fc1.oft_blocks":
                      torch.full((64, 48, 48), 0.01).triu(), **kohya(OWN, "lora_unet_")},
             "0.3.30", "OFT and BOFT only since version 0.3.31", "Update ComfyUI"),
            ("ComfyUI-3060_in_0.0.0", lambda: _dora(1, 2048), "0.0.0", "DoRA only since",
             "Update ComfyUI"),
        )
    ),
    fine("ComfyUI-11158_in_0.3.76", lambda: pairs(Z_IMAGE, prefix="diffusion_model."),
         version="0.3.76"),
    fine("ComfyUI-11805_in_0.10.1", lambda: pairs(Z_IMAGE), version="0.10.1"),
    fine("fused_Z-Image_in_0.3.75", lambda: kohya(FUSED, "lora_unet_"), version="0.3.75"),
    fine("lycoris_SDXL_in_0.3.75", lambda: kohya(SDXL, "lycoris_"), version="0.3.75"),
    fine("a_version_that_is_none", lambda: pairs(Z_IMAGE, prefix="diffusion_model."),
         version="unknown"),
)
ROWS = (
    *NAMES, *COMPONENTS, *BASES, *STRENGTH, *DECOMPOSED, *ALGORITHMS, *VALUES, *NOT_LORAS,
    *VERSIONS,
)
