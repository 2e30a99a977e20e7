"""LoKr: a Kronecker product, each side whole or in low rank (LyCORIS, arXiv 2309.14859).

``ΔW = scale · w1 ⊗ w2``. The scale is ``alpha / r`` where a side is in low rank, and 1 where both
are whole. For convolutions ``w2`` carries the kernel, as (out, in, kh, kw) or by a Tucker core.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch

from ..algorithm import Algorithm, Origin, check_kernel, check_sizes, matrix, saves_memory
from ..ir import Layer


class LoKr(Algorithm):
    """Two sides, each whole or as two factors; the second also with a core."""

    name = "lokr"
    title = "LoKr"
    factors = (
        "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
    )
    decomposes = True
    carriers = ("lokr_w1", "lokr_w1_a")

    def is_complete(self, factors: Mapping[str, torch.Tensor]) -> bool:
        return all(
            f"lokr_w{side}" in factors or {f"lokr_w{side}_a", f"lokr_w{side}_b"} <= set(factors)
            for side in (1, 2)
        )

    def rank(self, layer: Layer) -> int | None:
        for side in (2, 1):
            if f"lokr_w{side}" not in layer.factors:
                return int(layer.factors[f"lokr_w{side}_b"].shape[0])
        return None

    def shape(self, layer: Layer) -> tuple[int, int]:
        (rows, columns), (more_rows, more_columns) = (_side_shape(layer, side) for side in (1, 2))
        first = layer.factors.get("lokr_w1", layer.factors.get("lokr_w1_b"))
        if first is not None and first[0, :1].numel() != 1:
            raise ValueError("the first side has a kernel, which only the second may have")
        return rows * more_rows, columns * more_columns

    def norm(self, layer: Layer) -> float:
        sides = (float(_side(layer, side).norm()) for side in (1, 2))
        return math.prod(sides) * abs(self.scale(layer))

    def delta(self, layer: Layer, weight: torch.Tensor | None = None) -> torch.Tensor:
        first, second = _side(layer, 1), _side(layer, 2)
        # (o1, i1) ⊗ (o2, i2, k): inputs of both sides first, the kernel last.
        product = torch.einsum("ab,cdk->acbdk", first.squeeze(-1), second)
        return product.reshape(first.shape[0] * second.shape[0], -1) * self.scale(layer)

    def expanded(self, layer: Layer) -> tuple[torch.Tensor, torch.Tensor] | None:
        """``(A₁ B₁) ⊗ (A₂ B₂) = (A₁ ⊗ A₂)(B₁ ⊗ B₂)``; a whole side is itself times identity."""
        if "lokr_t2" in layer.factors:
            return None
        inner = math.prod(_inner_size(layer, side) for side in (1, 2))
        if not saves_memory(inner, self.shape(layer)):
            return None
        (left, right), (more_left, more_right) = (_side_factors(layer, side) for side in (1, 2))
        return torch.kron(left, more_left) * self.scale(layer), torch.kron(right, more_right)

    def settled(self, layer: Layer, origin: Origin) -> Layer:
        """PEFT scales a product of two whole sides too; nobody else does."""
        if self.rank(layer) is not None or origin.scale == 1:
            return layer
        return self.times(layer, origin.scale)

    def readable(self, layer: Layer) -> Layer:
        return without_core(layer)


def without_core(layer: Layer) -> Layer:
    """The same without Tucker's core: it is multiplied into the second side's right factor."""
    factors = dict(layer.factors)
    core = factors.pop("lokr_t2", None)
    if core is None or "lokr_w2_a" not in factors:
        return layer
    left, right = factors["lokr_w2_a"], factors["lokr_w2_b"]
    product = torch.einsum(
        "pqk,qi->pik", core.to(torch.float64).flatten(2), right.to(torch.float64).flatten(1)
    )
    factors["lokr_w2_a"] = left.T.contiguous()
    factors["lokr_w2_b"] = product.flatten(1).to(right.dtype)
    alpha = layer.alpha
    if alpha is not None:
        alpha *= core.shape[0] / core.shape[1]
    return replace(layer, factors=factors, alpha=alpha)


def _side_shape(layer: Layer, side: int) -> tuple[int, int]:
    whole = layer.factors.get(f"lokr_w{side}")
    if whole is not None:
        if whole.ndim < 2:
            raise ValueError(f"lokr_w{side} is no matrix")
        return int(whole.shape[0]), int(whole[0].numel())
    a, b = layer.factors[f"lokr_w{side}_a"], layer.factors[f"lokr_w{side}_b"]
    if a.ndim != 2 or b.ndim < 2:
        raise ValueError(f"lokr_w{side}_a or lokr_w{side}_b is no matrix")
    core = layer.factors.get("lokr_t2") if side == 2 else None
    if core is None:
        check_sizes(f"the second size of lokr_w{side}_a", a.shape[1], b.shape[0])
        return int(a.shape[0]), int(b[0].numel())
    check_kernel("lokr_t2", core)
    check_sizes("the first size of lokr_t2", core.shape[0], a.shape[0])
    check_sizes("the second size of lokr_t2", core.shape[1], b.shape[0])
    return int(a.shape[1]), int(b[0].numel() * core[0, 0].numel())


def _side(layer: Layer, side: int) -> torch.Tensor:
    """One side as (out, in, kernel positions)."""
    whole = layer.factors.get(f"lokr_w{side}")
    if whole is not None:
        return _with_kernel(whole.to(torch.float64))
    a = layer.factors[f"lokr_w{side}_a"].to(torch.float64)
    b = layer.factors[f"lokr_w{side}_b"].to(torch.float64)
    core = layer.factors.get("lokr_t2") if side == 2 else None
    if core is not None:
        flat = core.to(torch.float64).flatten(2)
        return torch.einsum("pqk,po,qi->oik", flat, a, b.flatten(1))
    return _with_kernel((a @ b.flatten(1)).reshape(a.shape[0], *b.shape[1:]))


def _inner_size(layer: Layer, side: int) -> int:
    whole = layer.factors.get(f"lokr_w{side}")
    if whole is None:
        return int(layer.factors[f"lokr_w{side}_b"].shape[0])
    return min(whole.shape[0], whole[0].numel())


def _side_factors(layer: Layer, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One side as a product of two matrices."""
    whole = layer.factors.get(f"lokr_w{side}")
    if whole is None:
        return matrix(layer.factors[f"lokr_w{side}_a"]), matrix(layer.factors[f"lokr_w{side}_b"])
    value = matrix(whole)
    identity = torch.eye(min(value.shape), dtype=torch.float64)
    return (identity, value) if value.shape[0] <= value.shape[1] else (value, identity)


def _with_kernel(value: torch.Tensor) -> torch.Tensor:
    return value.reshape(value.shape[0], value.shape[1], -1)


ALGORITHM = LoKr()
