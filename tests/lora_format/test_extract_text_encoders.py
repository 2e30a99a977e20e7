"""Text encoders of two checkpoints, in both namings that checkpoints have."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file

from lora_kiln.lora_format import open_clip
from lora_kiln.lora_format.architectures.clip_text import ClipText
from lora_kiln.lora_format.base import BaseFile, read_base
from lora_kiln.lora_format.compare import Checkpoints
from lora_kiln.lora_format.extract import ExtractSettings, extract, extracted_lora
from lora_kiln.lora_format.read import Base
from lora_kiln.lora_format.table import ModuleTable, network
from lora_kiln.tests.lora_format.small_loras import (
    SDXL,
    TEXT,
    Maker,
    Tensors,
    changes_of,
    largest_error,
    model_of,
)

WIDTH, RESBLOCK = 12, "transformer.resblocks.0."


def encoders(seed: int) -> tuple[Tensors, Tensors]:
    """CLIP-L in transformers' names, and CLIP-G in OpenCLIP's; both of one layer."""
    make = Maker(SDXL, seed)
    large: Tensors = {}
    for path, shape in SDXL.table["clip_l"].shapes.items():
        large[f"{path}.weight"] = make.random(*shape)
    giant = {
        f"{RESBLOCK}attn.in_proj_weight": make.random(3 * WIDTH, WIDTH),
        f"{RESBLOCK}attn.in_proj_bias": make.random(3 * WIDTH),
        f"{RESBLOCK}attn.out_proj.weight": make.random(WIDTH, WIDTH),
        f"{RESBLOCK}mlp.c_fc.weight": make.random(4 * WIDTH, WIDTH),
        f"{RESBLOCK}mlp.c_proj.weight": make.random(WIDTH, 4 * WIDTH),
        f"{RESBLOCK}ln_1.weight": make.random(WIDTH),
        "positional_embedding": make.random(77, WIDTH),
        "text_projection": make.random(WIDTH, WIDTH),
        "ln_final.weight": make.random(WIDTH),
    }
    return large, giant


def with_encoders(path: Path, seed: int) -> BaseFile:
    large, giant = encoders(seed)
    tensors = {f"model.diffusion_model.{name}": value for name, value in model_of(SDXL).items()}
    tensors |= {f"conditioner.embedders.0.transformer.{name}": t for name, t in large.items()}
    tensors |= {open_clip.PREFIX + name: tensor for name, tensor in giant.items()}
    save_file(tensors, path)
    file = read_base(path)
    clip_g = network("clip_g", ClipText, ClipText(width=WIDTH, layers=1, projection=WIDTH).shapes())
    networks = {**file.base.table.networks, "clip_l": SDXL.table["clip_l"], "clip_g": clip_g}
    return BaseFile(Base(family="sdxl", table=ModuleTable(networks)), file.file, file.layouts)


def test_text_encoders_in_both_namings(tmp_path: Path) -> None:
    tuned = with_encoders(tmp_path / "tuned.safetensors", 1)
    original = with_encoders(tmp_path / "original.safetensors", 2)
    pairs = Checkpoints(tuned=tuned, original=original)
    settings = ExtractSettings(rank=100, dtype="fp32", differences=True)
    found = extract(pairs, settings)
    conversion = extracted_lora(found, original.base, settings, {}, title="it")
    changes = changes_of(conversion.lora.layers, original.base.table)
    one, two = encoders(1), encoders(2)
    large = one[0][f"{TEXT}.weight"] - two[0][f"{TEXT}.weight"]
    giant = {name: one[1][name].double() - two[1][name].double() for name in one[1]}
    layer, joined = "text_model.encoder.layers.0.", giant[f"{RESBLOCK}attn.in_proj_weight"]
    wanted = {
        ("clip_l", TEXT, "weight"): large.double(),
        ("clip_g", f"{layer}self_attn.k_proj", "weight"): joined[WIDTH:2 * WIDTH],
        ("clip_g", f"{layer}mlp.fc2", "weight"): giant[f"{RESBLOCK}mlp.c_proj.weight"],
        ("clip_g", f"{layer}self_attn.v_proj", "bias"):
            giant[f"{RESBLOCK}attn.in_proj_bias"][2 * WIDTH:, None],
        ("clip_g", f"{layer}layer_norm1", "weight"):
            giant[f"{RESBLOCK}ln_1.weight"][:, None],
        ("clip_g", "text_projection", "weight"): giant["text_projection"].T,
    }
    assert largest_error({place: changes[place] for place in wanted}, wanted) < 1e-5
    without = Checkpoints(tuned=tuned, original=original, text_encoders=False)
    assert not extract(without, settings).layers
    assert len(without) == len(model_of(SDXL))
