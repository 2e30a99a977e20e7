"""Small models of two families, LoRAs for them in many formats, and their changes multiplied out.

The changes are computed here from the tensors themselves, by the formulas of the papers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from lora_kiln.lora_format.architectures.clip_text import ClipText
from lora_kiln.lora_format.architectures.ldm_unet import LdmUnet
from lora_kiln.lora_format.architectures.lumina import Lumina
from lora_kiln.lora_format.convert import Conversion
from lora_kiln.lora_format.format import writer
from lora_kiln.lora_format.ir import Layer, LoraFile, Target, lora_layer
from lora_kiln.lora_format.merge import Merge
from lora_kiln.lora_format.read import Base, Reading, read
from lora_kiln.lora_format.resize import Resize
from lora_kiln.lora_format.save import save_conversion
from lora_kiln.lora_format.table import ModuleTable, built_in

Changes = dict[tuple[str, str, str], torch.Tensor]
"""ΔW by component, module path and kind (weight or bias), in float64."""
Tensors = dict[str, torch.Tensor]

SDXL = Base(
    family="sdxl",
    table=built_in({
        "unet": LdmUnet(
            channels=16, multiples=(1, 2), resnets=1, depths=(0, 1), middle_depth=1, context=24,
            extra=20, linear_projections=True,
        ),
        "clip_l": ClipText(width=16, layers=1, tokens=20),
        "clip_g": ClipText(width=20, layers=1, projection=20, tokens=20),
    }),
)
Z_IMAGE = Base(
    family="z_image",
    table=built_in({
        "unet": Lumina(
            width=24, layers=1, key_width=24, hidden=32, head_width=8, caption_width=12,
            modulation_width=8, modulation_index=0, timestep_hidden=8,
        ),
    }),
)
BLOCK = "input_blocks.3.1.transformer_blocks.0."
QUERY, FEED, CONV = f"{BLOCK}attn1.to_q", f"{BLOCK}ff.net.0.proj", "input_blocks.1.0.in_layers.2"
KEY = f"{BLOCK}attn1.to_k"
NORM, TEXT = f"{BLOCK}norm1", "text_model.encoder.layers.0.mlp.fc1"
QKV = "layers.0.attention.qkv"


class Maker:
    """Makes layers with random factors for a model.

    Args:
        base: the model.
        seed: other factors.
        dtype: of the factors.
    """

    def __init__(self, base: Base, seed: int = 0, dtype: torch.dtype = torch.float32) -> None:
        self.table: ModuleTable = base.table
        self.dtype = dtype
        self._chance = torch.Generator().manual_seed(seed)

    def random(self, *shape: int) -> torch.Tensor:
        """Normal numbers."""
        return torch.randn(*shape, generator=self._chance).to(self.dtype)

    def lora(
        self, path: str, rank: int = 3, alpha: float = 2.0, *, component: str = "unet",
        rows: tuple[int, int] | None = None,
    ) -> Layer:
        """A plain LoRA."""
        shape = self.table.shape(Target(component, path, rows))
        return lora_layer(
            path, component=component, rows=rows, alpha=alpha,
            down=self.random(rank, *shape[1:]),
            up=self.random(shape[0], rank, *[1] * (len(shape) - 2)),
        )

    def loha(self, path: str, rank: int = 2, alpha: float = 3.0) -> Layer:
        """A LoHa without cores."""
        outputs, *rest = self.table.shape(Target("unet", path))
        inputs = torch.Size(rest).numel()
        factors = {
            f"hada_w{n}_{s}": self.random(*shape)
            for n in (1, 2) for s, shape in (("a", (outputs, rank)), ("b", (rank, inputs)))
        }
        return Layer(target=Target("unet", path), algorithm="loha", factors=factors, alpha=alpha)

    def lokr(self, path: str, rank: int | None = 2, alpha: float = 3.0, split: int = 4) -> Layer:
        """A LoKr whose second side is of low rank, or whole."""
        outputs, inputs, *kernel = self.table.shape(Target("unet", path))
        one, two = self.random(split, split), (outputs // split, inputs // split)
        factors = {"lokr_w1": one}
        if rank is None:
            factors["lokr_w2"] = self.random(*two, *kernel)
        else:
            factors["lokr_w2_a"] = self.random(two[0], rank)
            factors["lokr_w2_b"] = self.random(rank, two[1] * torch.Size(kernel).numel())
        return Layer(
            target=Target("unet", path), algorithm="lokr", factors=factors,
            alpha=None if rank is None else alpha,
        )

    def difference(self, path: str, *, bias: bool = False, component: str = "unet") -> Layer:
        """A whole difference of a weight or a bias."""
        shape = self.table.shape(Target(component, path))
        name, factor = ("bias", "diff_b") if bias else ("diff", "diff")
        value = self.random(shape[0]) if bias else self.random(*shape)
        return Layer(target=Target(component, path), algorithm=name, factors={factor: value})

    def norm(self, path: str) -> Layer:
        """LyCORIS' trained norm."""
        width = self.table.shape(Target("unet", path))[0]
        factors = {"w_norm": self.random(width), "b_norm": self.random(width)}
        return Layer(target=Target("unet", path), algorithm="norm", factors=factors)


def model_of(base: Base, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensors:
    """Random weights of a network, and biases of layers that are no norms."""
    make = Maker(base, seed)
    found: Tensors = {}
    for path, shape in base.table["unet"].shapes.items():
        found[f"{path}.weight"] = (make.random(*shape) / math.sqrt(shape[-1])).to(dtype)
        found[f"{path}.bias"] = (0.1 * make.random(shape[0])).to(dtype)
    return found


def lora_of(
    base: Base, layers: Iterable[Layer], metadata: Mapping[str, str] | None = None
) -> LoraFile:
    """Layers as a LoRA for a small model."""
    return LoraFile(family=base.family, layers=tuple(layers), metadata=metadata or {})


def written(path: Path, base: Base, layers: Iterable[Layer], to: str = "kohya") -> Path:
    """Write a LoRA file with the pack's writer of a format, PEFT's into a folder of its own."""
    made = writer(to)(lora_of(base, layers), base.table)
    if made.beside:
        path = path.with_suffix("") / path.name
        path.parent.mkdir()
    for name, value in made.beside.items():
        path.with_name(name).write_text(json.dumps(value))
    save_file({k: t.contiguous() for k, t in made.tensors.items()}, path, metadata=made.metadata)
    return path


def reading_of(
    path: Path, base: Base, layers: Iterable[Layer], metadata: Mapping[str, str] | None = None,
    to: str = "kohya",
) -> Reading:
    """Write layers, read them back, and give them a header."""
    found = read(written(path, base, layers, to), base)
    assert not found.errors, found.errors
    return replace(found, lora=replace(found.lora, metadata=metadata or {}))


def saved_changes(path: Path, base: Base, conversion: Conversion) -> Changes:
    """Write what was made, read it back, and multiply its changes out."""
    saved = save_conversion(conversion, path)
    assert saved.path is not None
    back = read(saved.path, base)
    assert not back.findings, back.findings
    return changes_of(back.lora.layers, base.table)


def ranks_of(outcome: Merge | Resize) -> dict[str, int | None]:
    """New ranks by module path."""
    return {module.module.partition(": ")[2]: module.rank for module in outcome.modules}


def changes_of(layers: Iterable[Layer], table: ModuleTable, factor: float = 1.0) -> Changes:
    """All changes multiplied out and added up; parts in their rows."""
    found: Changes = {}
    for layer in layers:
        target = layer.target
        outputs, *rest = table.shape(replace(target, rows=None))
        for kind, change in _changes(layer).items():
            place = (target.component, target.module_path, kind)
            inputs = torch.Size(rest).numel() if kind == "weight" else 1
            total = found.setdefault(place, torch.zeros(outputs, inputs, dtype=torch.float64))
            start, stop = target.rows or (0, outputs)
            total[start:stop] += factor * change.reshape(stop - start, inputs)
    return found


def _changes(layer: Layer) -> dict[str, torch.Tensor]:
    f = {name: tensor.to(torch.float64) for name, tensor in layer.factors.items()}
    if layer.algorithm in ("diff", "bias"):
        return {"bias" if layer.algorithm == "bias" else "weight": next(iter(f.values()))}
    if layer.algorithm == "norm":
        return {"weight": f["w_norm"], "bias": f["b_norm"]}
    if layer.algorithm == "loha":
        scale = layer.alpha / f["hada_w1_b"].shape[0] if layer.alpha is not None else 1.0
        halves = [f[f"hada_w{n}_a"] @ f[f"hada_w{n}_b"].flatten(1) for n in (1, 2)]
        return {"weight": scale * halves[0] * halves[1]}
    if layer.algorithm == "lokr":
        scale, second = 1.0, f.get("lokr_w2")
        if second is None:
            assert layer.alpha is not None
            scale = layer.alpha / f["lokr_w2_b"].shape[0]
            second = f["lokr_w2_a"] @ f["lokr_w2_b"].flatten(1)
        first = f["lokr_w1"].reshape(*f["lokr_w1"].shape, *[1] * (second.ndim - 2))
        return {"weight": scale * torch.kron(first, second)}
    assert layer.algorithm == "lora", layer.algorithm
    assert layer.alpha is not None
    scale = layer.alpha / f["lora_down"].shape[0]
    return {"weight": scale * f["lora_up"].flatten(1) @ f["lora_down"].flatten(1)}


def largest_error(found: Changes, wanted: Changes) -> float:
    """The largest relative Frobenius error over all places; infinite where one is missing."""
    if found.keys() != wanted.keys():
        return float("inf")
    return max(
        float((found[place] - value).norm() / value.norm().clamp(min=1e-12))
        for place, value in wanted.items()
    )


def total(*parts: Changes) -> Changes:
    """The sum of changes."""
    found: Changes = {}
    for part in parts:
        for place, value in part.items():
            found[place] = found[place] + value if place in found else value
    return found
