"""Files that look like LoRAs and are something else, or a kind that ComfyUI reads by itself."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from .finding import ERROR, NOTE


@dataclass(frozen=True)
class Kind:
    """Something that is recognised by its keys.

    Attributes:
        signature: regular expression that some key matches.
        text: what it is, and what follows.
        remedy: what to do with it.
        also: a second regular expression that some key must match.
        alone: only where no key is a LoRA's.
        level: ``error``, or ``note`` where ComfyUI's LoRA loader reads it as it is.
    """

    signature: str
    text: str
    remedy: str
    also: str = ""
    alone: bool = False
    level: str = ERROR

    def recognises(self, keys: Collection[str]) -> bool:
        """Whether a file with these keys is of this kind."""
        patterns = [re.compile(text) for text in (self.signature, self.also) if text]
        return all(any(pattern.search(key) for key in keys) for pattern in patterns)


UNREAD = "which ComfyUI's LoRA loader does not read, so it does nothing"
NOTHING = "so a LoRA loader can make nothing of it"
MERGE = "Merge it into the model with the library that trained it, and extract a LoRA from the " \
    "difference (kiln.py extract)"
AS_IT_IS = "There is nothing to convert: load it with the LoRA loader. It needs "
BLOCKS = r"(layers|blocks|(double|single|transformer|single_transformer|down|up|input|output)" \
    r"_blocks|mid(dle)?_block|noise_refiner|context_refiner)"
KINDS = (
    Kind(r"^lora_controlnet$", f"It is a Control-LoRA, a kind of ControlNet, {NOTHING}",
         "Put it into models/controlnet and load it with Load ControlNet Model"),
    Kind(r"\.on_input$|\.ia3_l(\.|$)", f"It is an IA³ file, {UNREAD}", MERGE),
    Kind(r"\.oft_R(\.|$)", f"It is PEFT's OFT, {UNREAD}", MERGE),
    Kind(r"\.oft_diag$", f"It is an old diagonal OFT, {UNREAD}", MERGE),
    Kind(r"^oft_unet_.*\.oft_blocks\.\d+$", f"It is Kohya's OFT for Flux, {UNREAD}", MERGE),
    Kind(r"^weights\.\d+\.lora", "It is a list of factors without module names, as Stability "
         f"wrote for Stable Cascade, {UNREAD}", "Ask its maker for a file with module names"),
    Kind(r"^single_blocks\.37\.processor\.qkv_lora\.up\.weight$",
         "This is USO's LoRA for Flux.1, which ComfyUI's LoRA loader reads as it is",
         f"{AS_IT_IS}ComfyUI 0.3.57 or later",
         also=r"^double_blocks\.18\.processor\.qkv_lora2\.up\.weight$", level=NOTE),
    Kind(r"\.processor\.(qkv|proj)_lora\d\.", "It is an XLabs LoRA for Flux, whose names only "
         "their own nodes read: with ComfyUI's LoRA loader it does nothing",
         "Load it with XLabs' nodes (x-flux-comfyui), or get it in another format"),
    Kind(r"^img_in\.lora_A\.weight$", "This is a control LoRA of Black Forest Labs, which "
         "ComfyUI's LoRA loader reads as it is, with Flux.1",
         f"{AS_IT_IS}a control picture (InstructPixToPixConditioning), and a ComfyUI of "
         "December 2024 or later", also=r"^single_blocks\.0\.norm\.key_norm\.scale$", level=NOTE),
    Kind(r"^model\.diffusion_model\.", f"It is a checkpoint, a whole model, and no LoRA, {NOTHING}",
         "Put it into models/checkpoints and load it with Load Checkpoint", alone=True),
    Kind(r"^(first_stage_model\.|(encoder|decoder)\.(conv|down|mid|up))",
         f"It is a VAE and no LoRA, {NOTHING}",
         "Put it into models/vae and load it with Load VAE", alone=True),
    Kind(r"^(emb_params|string_to_param)", "It is trained words (an embedding) and no LoRA, "
         f"{NOTHING}",
         "Put it into models/embeddings and write embedding:name in the prompt", alone=True),
    Kind(r"zero_conv|^controlnet_|control_model\.|controlnet_cond_embedding",
         f"It is a ControlNet and no LoRA, {NOTHING}",
         "Put it into models/controlnet and load it with Load ControlNet Model", alone=True),
    Kind(r"^(image_proj|ip_adapter)\.", f"It is an IP-Adapter and no LoRA, {NOTHING}",
         "Load it with the nodes for IP-Adapters", alone=True),
    Kind(rf"^((diffusion_model|transformer|unet|net)\.)?{BLOCKS}\..*\.(weight|bias|scale)$",
         f"It is a diffusion model's own weights and no LoRA, {NOTHING}",
         "Put it into models/diffusion_models and load it with Load Diffusion Model", alone=True),
    Kind(r"^(text_model|conditioner|cond_stage_model|text_encoders?|model\.layers|encoder\.block)"
         r"\.", f"It is a text encoder and no LoRA, {NOTHING}",
         "Put it into models/text_encoders and load it with Load CLIP", alone=True),
)
LORA_MARK = re.compile(
    r"lora|hada|lokr|oft_blocks|\.diff(_b)?$|\.set_weight$|[wb]_norm$|bundle_emb|"
    r"\.[ab][12]\.weight$"
)


def foreign_kind(keys: Collection[str]) -> Kind | None:
    """What a file is, if it is none of our LoRAs."""
    has_lora = any(LORA_MARK.search(key) for key in keys)
    for kind in KINDS:
        if not (kind.alone and has_lora) and kind.recognises(keys):
            return kind
    return None
