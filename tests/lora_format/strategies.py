"""LoRAs of every shape, for Hypothesis: of small models with the module names of the real ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from hypothesis import assume
from hypothesis import strategies as st

from lora_kiln.lora_format.architectures.clip_text import ClipText
from lora_kiln.lora_format.architectures.flux import Flux
from lora_kiln.lora_format.architectures.ldm_unet import LdmUnet
from lora_kiln.lora_format.architectures.lumina import Lumina
from lora_kiln.lora_format.ir import NETWORK, Layer, LoraFile, Target
from lora_kiln.lora_format.read import Base
from lora_kiln.lora_format.table import Network, built_in

CLIP_L = ClipText(width=8, layers=2, tokens=11)
LUMINA = Lumina(
    width=12, layers=2, key_width=12, hidden=20, head_width=4, caption_width=10,
    modulation_width=6, modulation_index=0, timestep_hidden=14,
)
BASES = {
    "sdxl": Base(family="sdxl", table=built_in({
        NETWORK: LdmUnet(
            channels=8, multiples=(1, 2, 4), resnets=2, depths=(0, 1, 2), middle_depth=2,
            context=12, extra=20, linear_projections=True,
        ),
        "clip_l": CLIP_L,
        "clip_g": ClipText(width=12, layers=2, projection=12, tokens=11),
    })),
    "sd15": Base(family="sd15", table=built_in({
        NETWORK: LdmUnet(
            channels=8, multiples=(1, 2), resnets=1, depths=(1, 0), middle_depth=1, context=12,
            extra=0, linear_projections=False,
        ),
        "clip_l": CLIP_L,
    })),
    "z_image": Base(family="z_image", table=built_in({NETWORK: LUMINA})),
    # Its keys are narrower than its queries, so parts are no thirds.
    "lumina2": Base(family="lumina2", table=built_in({
        NETWORK: replace(LUMINA, key_width=4, modulation_index=1),
    })),
    "flux1": Base(family="flux1", table=built_in({
        NETWORK: Flux(
            width=12, doubles=2, singles=2, context=10, pooled=6, guidance=True, pixels=8,
            head_width=4,
        ),
        "clip_l": CLIP_L,
    })),
}
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
ALPHAS = st.one_of(
    st.none(), st.sampled_from((1.0, 2.0, 0.5, 16.0, 0.0)),
    st.floats(min_value=0.01, max_value=64, allow_nan=False),
)


@dataclass(frozen=True)
class Maker:
    """Draws layers' factors.

    Attributes:
        draw: of Hypothesis.
        noise: values of tensors, which Hypothesis need not choose.
    """

    draw: st.DrawFn
    noise: torch.Generator

    def tensor(self, dtype: torch.dtype, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self.noise).to(dtype)

    def rank(self) -> int:
        return self.draw(st.integers(1, 4))

    def layer(self, target: Target, shape: tuple[int, ...], algorithms: list[str]) -> Layer:
        """A layer for a module of this weight."""
        dtype = self.draw(st.sampled_from(DTYPES))
        name = self.draw(st.sampled_from(algorithms))
        factors = MAKERS[name](self, dtype, shape)
        algorithm = name.partition(" ")[0]
        layer = Layer(target=target, algorithm=algorithm, factors=factors)
        if algorithm in ("lora", "loha", "lokr"):
            layer = replace(layer, dora_scale=self._magnitudes(name, dtype, shape))
        if algorithm in ("lora", "loha") or name == "lokr low":
            layer = replace(layer, alpha=self.draw(ALPHAS))
        return replace(layer, alpha=0.0) if algorithm in ("oft", "boft") else layer

    def _magnitudes(
        self, name: str, dtype: torch.dtype, shape: tuple[int, ...]
    ) -> torch.Tensor | None:
        ones = [1] * (len(shape) - 2)
        if name.endswith(" over outputs"):
            return self.tensor(dtype, shape[0], 1, *ones).abs()
        if name.endswith(" over inputs"):
            return self.tensor(dtype, 1, shape[1], *ones).abs()
        return None


Factors = dict[str, torch.Tensor]
Shape = tuple[int, ...]


def _lora(make: Maker, dtype: torch.dtype, shape: Shape) -> Factors:
    rank, ones = make.rank(), [1] * (len(shape) - 2)
    return {
        "lora_down": make.tensor(dtype, rank, *shape[1:]),
        "lora_up": make.tensor(dtype, shape[0], rank, *ones),
    }


def _lora_with_core(make: Maker, dtype: torch.dtype, shape: Shape) -> Factors:
    rank = make.rank()
    return {
        "lora_down": make.tensor(dtype, rank, shape[1], 1, 1),
        "lora_up": make.tensor(dtype, shape[0], rank, 1, 1),
        "lora_mid": make.tensor(dtype, rank, rank, *shape[2:]),
    }


def _loha(make: Maker, dtype: torch.dtype, shape: Shape) -> Factors:
    rank, inputs = make.rank(), math.prod(shape[1:])
    sizes = {"w1_a": (shape[0], rank), "w1_b": (rank, inputs)}
    sizes |= {"w2_a": (shape[0], rank), "w2_b": (rank, inputs)}
    return {f"hada_{name}": make.tensor(dtype, *size) for name, size in sizes.items()}


def _loha_with_cores(make: Maker, dtype: torch.dtype, shape: Shape) -> Factors:
    rank = make.rank()
    found: Factors = {}
    for half in (1, 2):
        found[f"hada_w{half}_a"] = make.tensor(dtype, rank, shape[0])
        found[f"hada_w{half}_b"] = make.tensor(dtype, rank, shape[1])
        found[f"hada_t{half}"] = make.tensor(dtype, rank, rank, *shape[2:])
    return found


def _divided(size: int) -> tuple[int, int]:
    """A size as a product of two that are nearly the same."""
    first = max(number for number in range(1, math.isqrt(size) + 1) if size % number == 0)
    return first, size // first


def _lokr(make: Maker, dtype: torch.dtype, shape: Shape) -> Factors:
    (rows, more_rows), (columns, more_columns) = _divided(shape[0]), _divided(shape[1])
    return {
        "lokr_w1": make.tensor(dtype, rows, columns),
        "lokr_w2": make.tensor(dtype, more_rows, more_columns, *shape[2:]),
    }


def _lokr_low(make: Maker, dtype: torch.dtype, shape: Shape) -> Factors:
    whole, rank = _lokr(make, dtype, shape), make.rank()
    second = whole.pop("lokr_w2").shape
    whole["lokr_w2_a"] = make.tensor(dtype, second[0], rank)
    if len(second) == 2 or make.draw(st.booleans()):
        whole["lokr_w2_b"] = make.tensor(dtype, rank, math.prod(second[1:]))
    else:
        whole["lokr_w2_a"] = make.tensor(dtype, rank, second[0])
        whole["lokr_w2_b"] = make.tensor(dtype, rank, second[1])
        whole["lokr_t2"] = make.tensor(dtype, rank, rank, *second[2:])
    if make.draw(st.booleans()):
        first = whole.pop("lokr_w1").shape
        whole["lokr_w1_a"] = make.tensor(dtype, first[0], rank)
        whole["lokr_w1_b"] = make.tensor(dtype, rank, first[1])
    return whole


def _oft(make: Maker, dtype: torch.dtype, shape: Shape) -> Factors:
    blocks, size = _divided(shape[0])
    found = {"oft_blocks": make.tensor(dtype, blocks, size, size)}
    if make.draw(st.booleans()):
        found["rescale"] = make.tensor(dtype, shape[0], *[1] * (len(shape) - 1))
    return found


def _boft(make: Maker, dtype: torch.dtype, shape: Shape) -> Factors:
    return {"oft_blocks": make.tensor(dtype, 2, shape[0] // 2, 2, 2)}


def _norm(make: Maker, dtype: torch.dtype, shape: Shape) -> Factors:
    names = ("w_norm", "b_norm")[: make.draw(st.integers(1, 2))]
    return {name: make.tensor(dtype, shape[0]) for name in names}


MAKERS: dict[str, Callable[[Maker, torch.dtype, Shape], Factors]] = {
    "lora": _lora,
    "lora over outputs": _lora,
    "lora over inputs": _lora,
    "lora with core": _lora_with_core,
    "loha": _loha,
    "loha over inputs": _loha,
    "loha with cores": _loha_with_cores,
    "lokr": _lokr,
    "lokr over outputs": _lokr,
    "lokr low": _lokr_low,
    "oft": _oft,
    "boft": _boft,
    "norm": _norm,
    "diff": lambda make, dtype, shape: {"diff": make.tensor(dtype, *shape)},
    "bias": lambda make, dtype, shape: {"diff_b": make.tensor(dtype, shape[0])},
}
"""Kinds of layers; the word before the first space is the algorithm."""
PLAIN = ("lora", "lora over outputs")


def kinds_for(shape: tuple[int, ...]) -> list[str]:
    """What a module of this weight can have."""
    if len(shape) == 1:
        return ["norm", "diff", "bias"]
    kernel = ("lora with core", "loha with cores")
    return [
        name for name in MAKERS
        if name != "norm" and (len(shape) > 2 or name not in kernel)
        and (name != "boft" or shape[0] % 2 == 0)
    ]


def places(network: Network, path: str, draw: st.DrawFn) -> list[Target]:
    """A module, or if it is fused maybe some of its parts."""
    parts = [target for _, target in network.parts(path)]
    if not parts or draw(st.booleans()):
        return [Target(network.component, path)]
    chosen = draw(st.lists(st.sampled_from(parts), min_size=1, unique=True))
    return sorted(chosen)


@st.composite
def loras(
    draw: st.DrawFn, family: str, kinds: tuple[str, ...] = (), components: tuple[str, ...] = ()
) -> LoraFile:
    """LoRAs for the small model of a family.

    Args:
        draw: of Hypothesis.
        family: name in ``BASES``.
        kinds: what layers may be, names of ``MAKERS``; all by default.
        components: where layers may be; everywhere by default.
    """
    table = BASES[family].table
    make = Maker(draw, torch.Generator().manual_seed(draw(st.integers(0, 2**32))))
    paths = [
        (network, path)
        for component, network in table.networks.items()
        if not components or component in components
        for path, shape in network.shapes.items()
        if not kinds or set(kinds) & set(kinds_for(shape))
    ]
    fused = [(network, path) for network, path in paths if network.parts(path)]
    some = st.sampled_from(paths) if not fused else \
        st.one_of(st.sampled_from(paths), st.sampled_from(fused))
    chosen = draw(st.lists(
        some, min_size=1, max_size=5, unique_by=lambda item: (item[0].component, item[1])
    ))
    layers: list[Layer] = []
    for network, path in chosen:
        known = [kind for kind in kinds_for(network.shapes[path]) if not kinds or kind in kinds]
        of_weights = [kind for kind in known if kind != "bias"]
        for allowed in (of_weights, ["bias"] if "bias" in known and draw(st.booleans()) else []):
            for target in places(network, path, draw) if allowed else ():
                layers.append(make.layer(target, network.shape(target), allowed))
    assume(layers)
    return LoraFile(family=family, layers=tuple(layers))
