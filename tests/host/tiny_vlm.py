"""Vision models of transformers' own classes, small and random, saved as people download them.

Whole words are their tokens, so that answers can be read. Seeds are some whose answers follow the
picture: many random models say one word, whatever they are shown.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

IMAGE = "<image>"
WORDS = ("red", "blue", "a", "woman", "man", "child", "boat", "tree", "sky", "the", "of", "and")
SPECIAL = ("<unk>", "<s>", "</s>", "<pad>", IMAGE)
TEMPLATE = (
    "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image>"
    "{% else %} {{ c['text'] }}{% endif %}{% endfor %}{% endfor %} the"
)
OLD_TEMPLATE = "{% for m in messages %}{{ '<image> ' + m['content'] }}{% endfor %} the"
"""As JoyCaption's: it knows contents that are texts, and puts the picture before them itself."""
_VISION: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "image_size": 28, "patch_size": 14,
}
_TEXT: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 512,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3,
}

# Both words for it that configurations use; and what they take beside their declared fields.
_IMAGE_PLACE: dict[str, Any] = {
    "image_token_index": SPECIAL.index(IMAGE), "image_token_id": SPECIAL.index(IMAGE),
}
_ENDS: dict[str, Any] = {
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3, "decoder_start_token_id": 2,
}


def make_tokenizer(special: tuple[str, ...] = SPECIAL) -> Any:
    """Whole words; every character that is none becomes ``<unk>``."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate((*special, *WORDS))}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    named = {"image_token": IMAGE} if special is SPECIAL else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        pad_token="<pad>", extra_special_tokens=named,
        additional_special_tokens=list(special[len(SPECIAL) :]),
    )


def save_llava(folder: Path, *, template: str | None = TEMPLATE, seed: int = 2) -> Path:
    """A LLaVA of CLIP and Llama, 50,000 parameters."""
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    count = len(SPECIAL) + len(WORDS)
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(**_VISION),
            text_config=LlamaConfig(**_TEXT, vocab_size=count),
            **_IMAGE_PLACE,
        )
    )
    fill(model, seed)
    model.save_pretrained(folder)
    size = {"height": 28, "width": 28}
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=size),
        tokenizer=make_tokenizer(), patch_size=14, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=template, image_token=IMAGE,
    )
    processor.save_pretrained(folder)
    return folder


def save_florence(folder: Path, *, seed: int = 0) -> Path:
    """A Florence-2 in the form of florence-community's, which transformers' own class loads."""
    from transformers import (
        CLIPImageProcessor,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
    )

    count = len(SPECIAL) + len(WORDS)
    text = {
        "model_type": "bart", "vocab_size": count, "d_model": 32, "encoder_layers": 2,
        "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
        "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 256,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3, "decoder_start_token_id": 2,
        "forced_eos_token_id": 2,
    }
    vision = {
        "depths": (1, 1, 1, 1), "embed_dim": (8, 8, 16, 16), "num_heads": (1, 1, 2, 2),
        "num_groups": (1, 1, 2, 2), "window_size": 2, "projection_dim": 32,
    }
    model = Florence2ForConditionalGeneration(
        Florence2Config(
            text_config=text, vision_config=vision, **_IMAGE_PLACE, **_ENDS
        )
    )
    fill(model, seed)
    model.save_pretrained(folder)
    pictures: Any = CLIPImageProcessor(size={"height": 64, "width": 64}, do_center_crop=False)
    pictures.image_seq_length = 5
    processor = Florence2Processor(image_processor=pictures, tokenizer=make_tokenizer())
    processor.save_pretrained(folder)
    return folder


def save_qwen2_vl(folder: Path, *, seed: int = 0) -> Path:
    """A Qwen2-VL, whose pictures become as many tokens as their size asks for."""
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    special = (*SPECIAL, "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    tokenizer = make_tokenizer(special)
    numbers = {name: tokenizer.convert_tokens_to_ids(name) for name in special}
    places = {
        "vision_start_token_id": numbers["<|vision_start|>"],
        "vision_end_token_id": numbers["<|vision_end|>"],
        "image_token_id": numbers["<|image_pad|>"],
        "video_token_id": numbers["<|video_pad|>"],
    }
    text = {
        **_TEXT, "vocab_size": len(special) + len(WORDS),
        "rope_parameters": {
            "rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0,
        },
    }
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2}
    model = Qwen2VLForConditionalGeneration(
        Qwen2VLConfig(text_config=text, vision_config=vision, **places)
    )
    fill(model, seed)
    model.save_pretrained(folder)
    limits = {"min_pixels": 28 * 28, "max_pixels": 56 * 56}
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(**limits), tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**limits),
        chat_template=TEMPLATE.replace(
            IMAGE, "<|vision_start|> <|image_pad|> <|vision_end|>"
        ),
    )
    processor.save_pretrained(folder)
    return folder


def save_blip2(folder: Path, *, seed: int = 2) -> Path:
    """A BLIP-2 with OPT, which describes without being asked."""
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        BlipImageProcessor,
    )

    vision = {**_VISION, "image_size": 28}
    middle = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "encoder_hidden_size": 32, "vocab_size": 40,
    }
    text = {
        "model_type": "opt", "vocab_size": len(SPECIAL) + len(WORDS), "hidden_size": 32,
        "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "word_embed_proj_dim": 32, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3,
    }
    model = Blip2ForConditionalGeneration(
        Blip2Config(
            vision_config=vision, qformer_config=middle, text_config=text, num_query_tokens=4,
            **_IMAGE_PLACE,
        )
    )
    fill(model, seed)
    with torch.no_grad():
        # Queries are most of what comes out of it; here the picture must be.
        model.query_tokens.mul_(0.1)
        for name, tensor in model.qformer.named_parameters():
            if "crossattention" in name and name.endswith("weight") and tensor.ndim == 2:
                tensor.mul_(4.0)
    model.save_pretrained(folder)
    processor = Blip2Processor(
        BlipImageProcessor(size={"height": 28, "width": 28}), make_tokenizer(),
        num_query_tokens=4,
    )
    processor.save_pretrained(folder)
    return folder


def fill(model: torch.nn.Module, seed: int) -> None:
    """Weights large enough for the picture to matter."""
    with torch.no_grad():
        for index, (name, tensor) in enumerate(sorted(model.named_parameters())):
            values = torch.randn(
                tensor.shape, generator=torch.Generator().manual_seed(1000 * seed + index)
            )
            if tensor.ndim < 2:
                tensor.copy_(0.1 * values + float("norm" in name and name.endswith("weight")))
            else:
                tensor.copy_(values * 1.5 / math.sqrt(max(1, tensor[:1].numel())))
